/** What kube-apiserver 1.34.4 makes of the same Pods; test/differential asks it again. */
import type { Container, Pod } from 'kubernetes-types/core/v1.js'
import { expect, test } from 'vitest'
import { podStrategy } from './pod.ts'
import type { ResourceRequirements } from './resource-requirements.ts'

const asks = (name: string, requests: Record<string, string>, more: object = {}): Container => {
  return { name, image: 'x', resources: { requests }, ...more }
}
const sidecar = { restartPolicy: 'Always' }

/** The resources of the Pod once it has its defaults. */
function defaulted(resources: ResourceRequirements, spec: object): unknown {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { ...spec, resources } }
  podStrategy.defaults?.(pod)
  return pod.spec.resources
}

test('what a Pod asks for as a whole is what its containers come to, else what it may have', () => {
  const limits = { cpu: '2', memory: '2Gi' }
  expect(defaulted({ limits }, { containers: [asks('a', {})] })).toEqual({ limits, requests: limits })
  const containers = [
    asks('a', { cpu: '500m', memory: '100Mi' }),
    asks('b', { cpu: '250m', 'ephemeral-storage': '1G' }),
  ]
  expect(defaulted({ limits }, { containers })).toEqual({ limits, requests: { cpu: '750m', memory: '100Mi' } })
  // Also of what the Pod has no limit of, and not of what it says itself.
  expect(defaulted({ limits: { cpu: '2' }, requests: { cpu: '1' } }, { containers })).toEqual({
    limits: { cpu: '2' },
    requests: { cpu: '1', memory: '100Mi' },
  })
})

test('init containers count where they need more than what runs beside them, sidecars with those after them', () => {
  const limits = { cpu: '2', memory: '2Gi' }
  const initContainers = [
    asks('i', { cpu: '1500m', memory: '10Mi' }),
    asks('s', { cpu: '200m', memory: '50Mi' }, sidecar),
    asks('j', { cpu: '700m', memory: '1Gi' }),
    asks('t', { memory: '24Mi' }, sidecar),
  ]
  expect(defaulted({ limits }, { initContainers, containers: [asks('a', { cpu: '1', memory: '950Mi' })] })).toEqual({
    limits,
    requests: { cpu: '1500m', memory: '1074Mi' },
  })
})

test('huge pages are what the containers are limited to, unless the Pod asks for some', () => {
  const limits = { cpu: '1', memory: '1Gi', 'hugepages-2Mi': '4Mi' }
  const containers = [{ name: 'a', image: 'x', resources: { limits } }]
  expect(defaulted({ requests: { cpu: '2' } }, { containers })).toEqual({
    limits: { 'hugepages-2Mi': '4Mi' },
    requests: { cpu: '2', memory: '1Gi', 'hugepages-2Mi': '4Mi' },
  })
  const own = { requests: { cpu: '2', 'hugepages-2Mi': '4Mi' } }
  expect(defaulted(own, { containers })).toEqual(own)
  expect(defaulted({}, { containers })).toEqual({})
})

test.each<[what: string, resources: ResourceRequirements, expected: string[]]>([
  [
    'requests',
    { requests: { cpu: '500m' } },
    [
      'spec.resources.requests[cpu]: Invalid value: "500m": must be greater than or equal to aggregate container requests of 600m',
    ],
  ],
  [
    'a limit',
    { limits: { cpu: '800m' } },
    ['spec.resources.containers[0][cpu].limits: Invalid value: "1": must be less than or equal to pod limits of 800m'],
  ],
  [
    'other resources',
    { limits: { cpu: '2', 'ephemeral-storage': '1Gi' } },
    [
      'spec.resources.limits[ephemeral-storage]: Unsupported value: "ephemeral-storage": supported values: "cpu", "hugepages-", "memory"',
    ],
  ],
  [
    'claims',
    { limits: { cpu: '2' }, claims: [] },
    ['spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level'],
  ],
])('%s that containers do not fit into, or that a Pod cannot have, are refused', (_what, resources, expected) => {
  const limited: Container = { name: 'a', image: 'x', resources: { limits: { cpu: '1' }, requests: { cpu: '400m' } } }
  const spec = { containers: [limited, asks('b', { cpu: '200m' })], resources } as Pod['spec']
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec }
  podStrategy.defaults?.(pod)
  const said = podStrategy.validate?.(pod) ?? []
  expect(said.map(({ field, message }) => `${field}: ${message}`).filter((each) => each.includes('resources'))).toEqual(
    expected,
  )
})
