import type { PodObject, Typed } from '@caisson/client'
import type { Node, PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { expect, test } from 'vitest'
import { misfit, resizeRefusal } from './node-fit.ts'
import { aPod } from './observed-pod-fixtures.ts'

const node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'here', labels: { tier: 'sandboxes' } },
  status: { allocatable: { cpu: '2', memory: '1Gi', 'ephemeral-storage': '10Gi', pods: '3', 'example.com/gpu': '1' } },
} as Typed<Node>

function asking(requests: Record<string, string>, spec: Partial<PodSpec> = {}): PodObject {
  return aPod({ spec: { containers: [{ name: 'main', resources: { requests } }], ...spec } })
}

function publishing(hostPort: number, protocol?: 'UDP'): PodObject {
  const ports = [{ containerPort: 80, hostPort, ...(protocol && { protocol }) }]
  return aPod({ spec: { containers: [{ name: 'main', ports }] } })
}

test.each<[what: string, pod: PodObject, others: PodObject[], refusal: ReturnType<typeof misfit>]>([
  ['what fits', asking({ cpu: '1500m', memory: '1Gi' }), [asking({ cpu: '500m' })], undefined],
  [
    'more processors than are left',
    asking({ cpu: '1501m', memory: '2Gi' }),
    [asking({ cpu: '0.5' })],
    {
      reason: 'OutOfcpu',
      message: "Node didn't have enough resource: cpu, requested: 1501, used: 500, capacity: 2000",
    },
  ],
  [
    'more memory than there is',
    asking({ memory: '2Gi' }),
    [],
    {
      reason: 'OutOfmemory',
      message: "Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: 1073741824",
    },
  ],
  [
    'one too many',
    asking({}),
    [asking({}), asking({}), asking({})],
    { reason: 'OutOfpods', message: "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3" },
  ],
  [
    'a device that somebody has',
    asking({ 'example.com/gpu': '1' }),
    [asking({ 'example.com/gpu': '1' })],
    {
      reason: 'OutOfexample.com/gpu',
      message: "Node didn't have enough resource: example.com/gpu, requested: 1, used: 1, capacity: 1",
    },
  ],
  ['a device that the node says nothing of', asking({ 'example.com/other': '1' }), [], undefined],
  ['labels that the node has', asking({}, { nodeSelector: { tier: 'sandboxes' } }), [], undefined],
  [
    'labels that it has not',
    asking({}, { nodeSelector: { tier: 'others' } }),
    [],
    {
      reason: 'NodeAffinity',
      message: "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    },
  ],
  ['a port of the node that nobody has', publishing(8080), [publishing(8081), publishing(8080, 'UDP')], undefined],
  [
    'a port of the node that another Pod has',
    publishing(8080),
    [publishing(8080)],
    {
      reason: 'NodePorts',
      message: "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
    },
  ],
])('%s', (_what, pod, others, refusal) => {
  expect(misfit(pod, node, { atMost: others.length, list: () => others })).toEqual(refusal)
})

test.each<[what: string, pod: PodObject, others: PodObject[], refusal: ReturnType<typeof resizeRefusal>]>([
  ['what there is room for', asking({ cpu: '1500m', memory: '1Gi' }), [asking({ cpu: '500m' })], undefined],
  [
    'what others have for now',
    asking({ cpu: '1501m', memory: '1Gi' }),
    [asking({ cpu: '0.5' })],
    {
      reason: 'Deferred',
      message: "Node didn't have enough resource: cpu, requested: 1501, used: 500, capacity: 2000",
    },
  ],
  [
    'more than there ever is',
    asking({ cpu: '3', memory: '2Gi' }),
    [],
    {
      reason: 'Infeasible',
      message: "Node didn't have enough capacity: memory, requested: 2147483648, capacity: 1073741824",
    },
  ],
  ['other things are not asked again', asking({ cpu: '1' }, { nodeSelector: { tier: 'others' } }), [], undefined],
])('a Pod that runs asks for %s', (_what, pod, others, refusal) => {
  expect(resizeRefusal(pod, node, { atMost: others.length, list: () => others })).toEqual(refusal)
})
