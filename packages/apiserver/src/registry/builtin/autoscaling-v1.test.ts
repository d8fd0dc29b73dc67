import type { KubeObject } from '@caisson/api'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type RunningServer, startServer } from '../../testing/running-server.ts'
import { fromAutoscalingV1, toAutoscalingV1 } from './autoscaling-v1.ts'
import { builtinResources } from './index.ts'

const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }

test('what one version writes the other reads, and loses nothing of it', async () => {
  await using server: RunningServer = await startServer({ resources: builtinResources() })
  await server.request('POST', '/api/v1/namespaces', { body: { metadata: { name: 'default' } } })
  const path = (version: string): string => `/apis/autoscaling/${version}/namespaces/default/horizontalpodautoscalers`
  const spec = { scaleTargetRef, maxReplicas: 5, targetCPUUtilizationPercentage: 40 }
  const created = await server.request('POST', path('v1'), { body: { metadata: { name: 'web' }, spec } })
  expect([created.status, created.body.spec]).toEqual([201, { ...spec, minReplicas: 1 }])
  const { body } = await server.request('GET', `${path('v2')}/web`)
  expect([body.apiVersion, body.spec.metrics]).toEqual([
    'autoscaling/v2',
    [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 40 } } }],
  ])
  const headers = { 'content-type': 'application/merge-patch+json' }
  const pods = { metric: { name: 'rps' }, target: { type: 'AverageValue', averageValue: '7' } }
  const metrics = [...body.spec.metrics, { type: 'Pods', pods }]
  await server.request('PATCH', `${path('v2')}/web`, { body: { spec: { metrics } }, headers })
  const conditions = [
    { type: 'AbleToScale', status: 'True', reason: 'x', message: 'y', lastTransitionTime: '2026-01-01T00:00:00Z' },
  ]
  await server.request('PATCH', `${path('v2')}/web/status`, { body: { status: { conditions } }, headers })
  const patched = await server.request('PATCH', `${path('v1')}/web`, {
    body: { metadata: { annotations: null }, spec: { maxReplicas: 6 } },
    headers,
  })
  expect([patched.status, patched.body.spec.maxReplicas]).toEqual([200, 6])
  const after = (await server.request('GET', `${path('v2')}/web`)).body
  expect(after.status.conditions).toEqual(conditions)
  expect(after.spec.maxReplicas).toBe(6)
  const refused = await server.request('POST', path('v1'), {
    body: { metadata: { name: 'no' }, spec: { scaleTargetRef } },
  })
  expect([refused.status, refused.body.message]).toEqual([
    422,
    expect.stringContaining('spec.maxReplicas: Invalid value: 0: must be greater than 0'),
  ])
})

const amount = fc.integer({ min: 1, max: 90 })
const named = fc.constantFrom('cpu', 'memory')
const metric = fc.oneof(
  fc.record({ name: named, value: amount }).map(({ name, value }) => {
    return { type: 'Resource', resource: { name, target: { type: 'Utilization', averageUtilization: value } } }
  }),
  fc.record({ name: named, value: amount }).map(({ name, value }) => {
    const target = { type: 'AverageValue', averageValue: `${value}m` }
    return { type: 'ContainerResource', containerResource: { name, container: 'main', target } }
  }),
  amount.map((value) => {
    const target = { type: 'AverageValue', averageValue: String(value) }
    return { type: 'Pods', pods: { metric: { name: 'rps', selector: { matchLabels: { a: 'b' } } }, target } }
  }),
  amount.map((value) => {
    const describedObject = { kind: 'Service', name: 's', apiVersion: 'v1' }
    const target = { type: 'Value', value: String(value) }
    return { type: 'Object', object: { metric: { name: 'rps' }, describedObject, target } }
  }),
)

test('there and back again is the same, but for the order of the CPU target', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(metric, { selector: ({ type }) => type, minLength: 1 }),
      amount,
      (metrics, maxReplicas) => {
        const autoscaler = {
          apiVersion: 'autoscaling/v2',
          kind: 'HorizontalPodAutoscaler',
          metadata: { name: 'web', annotations: { mine: 'yes' } },
          spec: {
            scaleTargetRef,
            minReplicas: 1,
            maxReplicas,
            metrics: metrics.toSorted((a, b) => Number(isCpu(a)) - Number(isCpu(b))),
            behavior: { scaleDown: { selectPolicy: 'Max', policies: [{ type: 'Pods', value: 1, periodSeconds: 9 }] } },
          },
          status: { desiredReplicas: 2, currentReplicas: 1, currentMetrics: null },
        } as unknown as KubeObject
        const expected = structuredClone(autoscaler) as KubeObject & { spec: { behavior: { scaleUp?: object } } }
        const back = fromAutoscalingV1(toAutoscalingV1(autoscaler)) as typeof expected
        delete back.spec.behavior.scaleUp
        expect(back).toEqual(expected)
      },
    ),
  )
})

function isCpu({ type, resource }: { type: string; resource?: { name: string } }): boolean {
  return type === 'Resource' && resource?.name === 'cpu'
}
