import type { PodObject } from '@caisson/client'
import type { HorizontalPodAutoscalerSpec } from 'kubernetes-types/autoscaling/v2.d.ts'
import { describe, expect, test } from 'vitest'
import { type Autoscaler, planAutoscaler } from './plan-autoscaler.ts'
import { createReplicaCalculator, type PodMetrics, type ResourceTarget } from './resource-replicas.ts'
import { nextSize, noteChange, type ScalingHistory } from './scaling-behavior.ts'

const NOW = Date.parse('2026-01-01T01:00:00Z')
const EARLIER = '2026-01-01T00:00:00Z'

function pod(name: string, more: object = {}): PodObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { containers: [{ name: 'main', resources: { requests: { cpu: '100m', memory: '100Mi' } } }] },
    status: {
      phase: 'Running',
      startTime: EARLIER,
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: EARLIER }],
      ...more,
    },
  } as unknown as PodObject
}

function metrics(name: string, cpu: string): PodMetrics {
  const usage = { cpu, memory: '50Mi' }
  return { metadata: { name }, timestamp: '2026-01-01T01:00:00Z', window: '10s', containers: [{ name: 'main', usage }] }
}

const HALF: ResourceTarget = { resource: 'cpu', averageUtilization: 50 }
const UNREADY = { conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: EARLIER }] }

describe('how many Pods a load asks for', () => {
  test.each<[string, ResourceTarget, PodObject[], PodMetrics[], number]>([
    ['as much as wanted', HALF, [pod('a'), pod('b')], [metrics('a', '50m'), metrics('b', '50m')], 2],
    ['within the tolerance', HALF, [pod('a'), pod('b')], [metrics('a', '54m'), metrics('b', '55m')], 2],
    ['twice as much', HALF, [pod('a'), pod('b')], [metrics('a', '100m'), metrics('b', '100m')], 4],
    ['a quarter', HALF, [pod('a'), pod('b')], [metrics('a', '12m'), metrics('b', '13m')], 1],
    ['by value', { resource: 'cpu', averageValue: '20m' }, [pod('a')], [metrics('a', '60m')], 3],
    ['memory by value', { resource: 'memory', averageValue: '25Mi' }, [pod('a')], [metrics('a', '1m')], 2],
    // One that cannot be seen counts as idle when there are too few, and as busy when there are too many.
    ['too few, one unseen', HALF, [pod('a'), pod('b')], [metrics('a', '200m')], 4],
    ['too many, one unseen', HALF, [pod('a'), pod('b')], [metrics('a', '5m')], 2],
    ['too few, one not up yet', HALF, [pod('a'), pod('b', { phase: 'Pending' })], [metrics('a', '200m')], 4],
    [
      'one that failed',
      HALF,
      [pod('a'), pod('b', { phase: 'Failed' })],
      [metrics('a', '50m'), metrics('b', '999m')],
      2,
    ],
  ])('%s', (_title, target, pods, measured, expected) => {
    const load = { pods, metrics: measured, currentReplicas: 2, now: NOW }
    expect(createReplicaCalculator(load)(target).replicas).toBe(expected)
  })

  test.each<[PodObject[], PodMetrics[], string]>([
    [[pod('a')], [], 'no metrics returned from resource metrics API'],
    [
      [pod('a', { startTime: '2026-01-01T00:59:00Z', ...UNREADY })],
      [metrics('a', '1m')],
      'did not receive metrics for targeted pods (pods might be unready)',
    ],
    [
      [{ ...pod('a'), spec: { containers: [{ name: 'main' }] } } as PodObject],
      [metrics('a', '1m')],
      'missing request for cpu in container main of Pod a',
    ],
  ])('no number without what it takes: %#', (pods, measured, message) => {
    const load = { pods, metrics: measured, currentReplicas: 1, now: NOW }
    expect(() => createReplicaCalculator(load)(HALF)).toThrow(message)
  })
})

function emptyHistory(): ScalingHistory {
  return { recommendations: [], ups: [], downs: [] }
}

/** Wishes one after another, 15 seconds apart, each size being carried out. */
function play(spec: Partial<HorizontalPodAutoscalerSpec>, start: number, wishes: readonly number[]): number[] {
  const history = emptyHistory()
  const whole = { maxReplicas: 100, minReplicas: 1, ...spec } as HorizontalPodAutoscalerSpec
  let current = start
  return wishes.map((desired, index) => {
    const now = NOW + index * 15_000
    const { replicas } = nextSize(whole, { current, desired, now }, history)
    noteChange(history, current, replicas, now)
    current = replicas
    return replicas
  })
}

describe('how fast the size changes', () => {
  test('it grows by four or twofold in 15 seconds, to the maximum', () => {
    expect(play({ maxReplicas: 30 }, 1, [100, 100, 100, 100])).toEqual([5, 10, 20, 30])
  })

  test('it shrinks once the wish has lasted five minutes', () => {
    const sizes = play({}, 10, [10, ...Array.from({ length: 20 }, () => 2)])
    expect(sizes.indexOf(2)).toBe(20)
    expect(new Set(sizes)).toEqual(new Set([10, 2]))
  })

  test('policies of its own', () => {
    const policies = [{ type: 'Pods', value: 1, periodSeconds: 60 }]
    const scaleDown = { stabilizationWindowSeconds: 0, policies }
    expect(play({ behavior: { scaleDown } }, 5, [1, 1, 1, 1, 1])).toEqual([4, 4, 4, 4, 3])
    expect(play({ behavior: { scaleUp: { selectPolicy: 'Disabled' } } }, 2, [9, 9])).toEqual([2, 2])
    expect(play({ behavior: { scaleUp: { stabilizationWindowSeconds: 60 } } }, 2, [2, 9, 9, 9, 9, 9])).toEqual([
      2, 2, 2, 2, 6, 9,
    ])
  })
})

function autoscaler(spec: object = {}): Autoscaler {
  const target = { type: 'Utilization', averageUtilization: 50 }
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      minReplicas: 1,
      maxReplicas: 10,
      metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }],
      ...spec,
    },
  } as Autoscaler
}

describe('what an autoscaler does and says', () => {
  test('more load, more Pods', () => {
    const load = { pods: [pod('a')], metrics: [metrics('a', '150m')] }
    const observed = { autoscaler: autoscaler(), currentReplicas: 1, load, history: emptyHistory() }
    expect(planAutoscaler(observed, NOW)).toMatchObject({
      rescale: { replicas: 3, reason: 'cpu resource utilization (percentage of request) above target' },
      status: {
        currentReplicas: 1,
        desiredReplicas: 3,
        currentMetrics: [
          { type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 150, averageValue: '150m' } } },
        ],
        conditions: [
          { type: 'AbleToScale', status: 'True', reason: 'ReadyForNewScale' },
          { type: 'ScalingLimited', status: 'False', reason: 'DesiredWithinRange' },
          { type: 'ScalingActive', status: 'True', reason: 'ValidMetricFound' },
        ],
      },
      events: [],
    })
  })

  test('no load at all: as few as there may be', () => {
    const load = { pods: [pod('a'), pod('b')], metrics: [metrics('a', '0'), metrics('b', '0')] }
    const behavior = { scaleDown: { stabilizationWindowSeconds: 0 } }
    const observed = { autoscaler: autoscaler({ behavior }), currentReplicas: 2, load, history: emptyHistory() }
    const { rescale, events } = planAutoscaler(observed, NOW)
    expect({ rescale, events }).toEqual({ rescale: { replicas: 1, reason: 'All metrics below target' }, events: [] })
  })

  test('one that is new, or whose controller is, makes nothing smaller at its first look', () => {
    const load = { pods: [pod('a'), pod('b')], metrics: [metrics('a', '0'), metrics('b', '0')] }
    const history = emptyHistory()
    const look = (now: number) =>
      planAutoscaler({ autoscaler: autoscaler(), currentReplicas: 2, load, history }, now).rescale?.replicas
    expect(look(NOW)).toBe(undefined)
    expect(look(NOW + 299_000)).toBe(undefined)
    expect(look(NOW + 300_000)).toBe(1)
  })

  test('without metrics it changes nothing and says why', () => {
    const load = new Error('nobody serves them')
    const observed = { autoscaler: autoscaler(), currentReplicas: 2, load, history: emptyHistory() }
    const { rescale, status, events } = planAutoscaler(observed, NOW)
    expect(rescale).toBeUndefined()
    expect(status).toMatchObject({
      conditions: [
        { type: 'AbleToScale', status: 'True', reason: 'SucceededGetScale' },
        {
          type: 'ScalingActive',
          status: 'False',
          reason: 'FailedGetResourceMetric',
          message: 'the HPA was unable to compute the replica count: failed to get cpu utilization: nobody serves them',
        },
      ],
    })
    expect(events.map(({ reason }) => reason)).toEqual(['FailedGetResourceMetric', 'FailedComputeMetricsReplicas'])
  })

  test.each([
    [0, undefined],
    [12, { replicas: 10, reason: 'Current number of replicas above Spec.MaxReplicas' }],
    [1, { replicas: 2, reason: 'Current number of replicas below Spec.MinReplicas' }],
  ])('%i Pods are made to be in range', (currentReplicas, rescale) => {
    const observed = {
      autoscaler: autoscaler({ minReplicas: 2 }),
      currentReplicas,
      load: new Error(''),
      history: emptyHistory(),
    }
    expect(planAutoscaler(observed, NOW).rescale).toEqual(rescale)
  })
})

test('Pods are looked at once, however many metrics an autoscaler has', () => {
  let reads = 0
  const one = {
    ...pod('a'),
    get spec() {
      reads++
      return pod('a').spec
    },
  } as PodObject
  const count = 1000
  const metric = (averageUtilization: number) => ({
    type: 'Resource',
    resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } },
  })
  const autoscaler: Autoscaler = {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'many' },
    spec: {
      scaleTargetRef: { kind: 'Deployment', name: 'web' },
      maxReplicas: 5,
      metrics: Array.from({ length: count }, (_, index) => metric(index + 1)),
    },
  }
  const history = { recommendations: [], ups: [], downs: [] }
  const load = { pods: [one], metrics: [metrics('a', '50m')] }
  const { status } = planAutoscaler({ autoscaler, currentReplicas: 1, load, history }, NOW)
  expect((status as { currentMetrics: object[] }).currentMetrics).toHaveLength(count)
  expect(reads).toBeLessThan(10)
})
