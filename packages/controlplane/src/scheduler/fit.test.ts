import type { PodObject, Typed } from '@caisson/client'
import type { Node } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import { failedPreemptionMessage, failedSchedulingMessage, unfit } from './fit.ts'
import { requestOf } from './node-loads.ts'

const ALONE = { problemOn: () => undefined }
const pod = (spec: object): PodObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: { containers: [], ...spec },
})
const node = (spec: object = {}, labels: Record<string, string> = {}): Typed<Node> => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'here', labels },
  spec,
  status: { allocatable: { pods: '2' } },
})
const affinity = (requirement: object): object => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [requirement] }] },
    },
  },
})
const taint = { key: 'k', value: 'v', effect: 'NoSchedule' as const }

describe('unfit', () => {
  test.each<[name: string, pod: PodObject, node: Typed<Node>, pods: number, expected: string | undefined]>([
    ['a plain Pod fits', pod({}), node(), 0, undefined],
    ['a full node does not do', pod({}), node(), 2, 'Too many pods'],
    ['a cordoned node does not do', pod({}), node({ unschedulable: true }), 0, 'node(s) were unschedulable'],
    ['a taint keeps out', pod({}), node({ taints: [taint] }), 0, 'node(s) had untolerated taint {k: v}'],
    [
      'a toleration lets in',
      pod({ tolerations: [{ key: 'k', operator: 'Equal', value: 'v' }] }),
      node({ taints: [taint] }),
      0,
      undefined,
    ],
    [
      '… also one for everything',
      pod({ tolerations: [{ operator: 'Exists' }] }),
      node({ taints: [taint] }),
      0,
      undefined,
    ],
    [
      '… not one for another value',
      pod({ tolerations: [{ key: 'k', value: 'w' }] }),
      node({ taints: [taint] }),
      0,
      'node(s) had untolerated taint {k: v}',
    ],
    ['a preference is no filter', pod({}), node({ taints: [{ ...taint, effect: 'PreferNoSchedule' }] }), 0, undefined],
    [
      'a selector must match',
      pod({ nodeSelector: { disk: 'fast' } }),
      node({}, { disk: 'slow' }),
      0,
      "node(s) didn't match Pod's node affinity/selector",
    ],
    ['a selector that matches', pod({ nodeSelector: { disk: 'fast' } }), node({}, { disk: 'fast' }), 0, undefined],
    ['affinity In', pod(affinity({ key: 'a', operator: 'In', values: ['x'] })), node({}, { a: 'x' }), 0, undefined],
    [
      'affinity NotIn',
      pod(affinity({ key: 'a', operator: 'NotIn', values: ['x'] })),
      node({}, { a: 'x' }),
      0,
      "node(s) didn't match Pod's node affinity/selector",
    ],
    ['affinity DoesNotExist', pod(affinity({ key: '__proto__', operator: 'DoesNotExist' })), node(), 0, undefined],
    ['affinity Gt', pod(affinity({ key: 'n', operator: 'Gt', values: ['3'] })), node({}, { n: '4' }), 0, undefined],
  ])('%s', (_name, given, on, pods, expected) => {
    const requested = new Map([['pods', pods]])
    expect(unfit(given, requestOf(given), { node: on, requested, ports: [] }, ALONE)).toEqual(
      expected === undefined ? [] : [expected],
    )
  })
})

describe('room', () => {
  const asks = (requests: Record<string, string>): PodObject =>
    pod({ containers: [{ name: 'a', resources: { requests } }] })
  const big = { ...node(), status: { allocatable: { pods: '10', cpu: '2', memory: '1Gi' } } }

  test.each<[name: string, pod: PodObject, requested: Record<string, number>, expected: string[]]>([
    ['all of it can be had', asks({ cpu: '2', memory: '1Gi' }), {}, []],
    ['not more', asks({ cpu: '2001m' }), {}, ['Insufficient cpu']],
    [
      'nor what others have',
      asks({ cpu: '500m', memory: '600Mi' }),
      { cpu: 1.6, memory: 2 ** 29 },
      ['Insufficient cpu', 'Insufficient memory'],
    ],
    ['nothing fits where too much is taken', asks({}), { cpu: 5 }, []],
    ['what the node does not have', asks({ 'example.com/device': '1' }), {}, ['Insufficient example.com/device']],
    ['unless none of it is asked for', asks({ 'example.com/device': '0' }), {}, []],
  ])('%s', (_name, given, requested, expected) => {
    expect(
      unfit(given, requestOf(given), { node: big, requested: new Map(Object.entries(requested)), ports: [] }, ALONE),
    ).toEqual(expected)
  })
})

test('the message counts reasons as kube-scheduler does', () => {
  const full = ['Too many pods']
  const reasons = [full, [...full, 'Insufficient cpu'], ['node(s) were unschedulable']]
  expect(failedSchedulingMessage(reasons)).toBe(
    '0/3 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable, 2 Too many pods.',
  )
  expect(failedPreemptionMessage(reasons)).toBe(
    '0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.',
  )
  expect(failedSchedulingMessage([])).toBe('no nodes available to schedule pods')
})
