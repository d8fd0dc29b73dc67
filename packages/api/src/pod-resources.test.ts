import fc from 'fast-check'
import type { Container, PodSpec, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import { podRequests, podResource, requestedResources, reservedSpec } from './pod-resources.ts'

const MI = 1024 * 1024

function asking(
  name: string,
  memory: { limit?: string; request?: string },
  fields: Partial<Container> = {},
): Container {
  return {
    name,
    image: 'busybox',
    resources: {
      ...(memory.limit !== undefined && { limits: { memory: memory.limit } }),
      ...(memory.request !== undefined && { requests: { memory: memory.request } }),
    },
    ...fields,
  }
}

const sidecar = { restartPolicy: 'Always' }

describe('what a Pod may use', () => {
  test.each<[name: string, spec: PodSpec, limit: number | undefined, request: number]>([
    [
      'containers add up',
      { containers: [asking('a', { limit: '1Mi' }), asking('b', { limit: '2Mi' })] },
      3 * MI,
      3 * MI,
    ],
    [
      'a container without a limit has the Pod have none',
      { containers: [asking('a', { limit: '1Mi' }), asking('b', { request: '2Mi' })] },
      undefined,
      3 * MI,
    ],
    [
      'an init container counts where it needs more',
      { initContainers: [asking('i', { limit: '9Mi' })], containers: [asking('a', { limit: '1Mi' })] },
      9 * MI,
      9 * MI,
    ],
    [
      'beside the sidecars that are there before it',
      {
        initContainers: [asking('s', { limit: '2Mi' }, sidecar), asking('i', { limit: '4Mi' })],
        containers: [asking('a', { limit: '3Mi' })],
      },
      6 * MI,
      6 * MI,
    ],
    [
      'sidecars run beside the others',
      { initContainers: [asking('s', { limit: '2Mi' }, sidecar)], containers: [asking('a', { limit: '3Mi' })] },
      5 * MI,
      5 * MI,
    ],
    [
      'overhead comes on top',
      { overhead: { memory: '10Mi' }, containers: [asking('a', { limit: '1Mi' })] },
      11 * MI,
      11 * MI,
    ],
    ['zero is no limit', { containers: [asking('a', { limit: '0' })] }, undefined, 0],
    [
      'the Pod as a whole has the last word',
      { containers: [asking('a', {})], resources: { limits: { memory: '7Mi' } } } as PodSpec,
      7 * MI,
      0,
    ],
  ])('%s', (_name, spec, limit, request) => {
    expect([podResource(spec, 'limits', 'memory'), podResource(spec, 'requests', 'memory')]).toEqual([limit, request])
  })

  test('by the names of all that it asks for', () => {
    const spec = {
      overhead: { cpu: '1' },
      initContainers: [{ name: 'i', resources: { limits: { 'example.com/device': '1' } } }],
      containers: [asking('a', { request: '1Mi' })],
    }
    expect([...requestedResources(spec)].sort()).toEqual(['cpu', 'example.com/device', 'memory'])
  })
})

describe('what is reserved for a Pod whose resources change', () => {
  const spec: PodSpec = { containers: [asking('a', { request: '4Mi' })] }
  const status = (allocated: string, inForce: string, reason?: string): PodStatus =>
    ({
      containerStatuses: [
        { name: 'a', allocatedResources: { memory: allocated }, resources: { requests: { memory: inForce } } },
      ],
      ...(reason !== undefined && { conditions: [{ type: 'PodResizePending', status: 'True', reason }] }),
    }) as unknown as PodStatus

  test.each<[what: string, status: PodStatus | undefined, mebibytes: number]>([
    ['what it asks for, where nothing is said', undefined, 4],
    ['what it asks for, where it is given more', status('1Mi', '1Mi', 'Deferred'), 4],
    ['what it was granted, while it is given less', status('8Mi', '4Mi'), 8],
    ['what it has, as long as it has more', status('4Mi', '16Mi'), 16],
    ['what it has, where it can never be given what it asks for', status('1Mi', '2Mi', 'Infeasible'), 2],
  ])('%s', (_what, told, mebibytes) => {
    expect(podResource(reservedSpec(spec, told), 'requests', 'memory')).toBe(mebibytes * MI)
  })

  test('the status of each container is looked at once', () => {
    let reads = 0
    const names = Array.from({ length: 200 }, (_, index) => `c${index}`)
    const containerStatuses = names.map((name) => ({
      get name() {
        reads++
        return name
      },
      allocatedResources: { memory: '8Mi' },
    }))
    const told = { containerStatuses } as unknown as PodStatus
    const containers = names.map((name) => asking(name, { request: '4Mi' }))
    expect(podResource(reservedSpec({ containers }, told), 'requests', 'memory')).toBe(200 * 8 * MI)
    expect(reads).toBe(200)
  })
})

const amounts = fc.dictionary(fc.constantFrom('cpu', 'memory', 'a.b/c'), fc.constantFrom('0', '1', '2', '500m'))
const resources = fc.record({ requests: amounts, limits: amounts }, { requiredKeys: [] })
const containers = fc.array(
  fc.record(
    { name: fc.constant('c'), resources, restartPolicy: fc.constantFrom('Always', 'Never') },
    { requiredKeys: ['name'] },
  ),
  { maxLength: 4 },
)

test('what a Pod asks for is what it asks for of each resource', () => {
  const spec = fc.record(
    { containers, initContainers: containers, resources, overhead: amounts },
    { requiredKeys: ['containers'] },
  )
  fc.assert(
    fc.property(spec, (each) => {
      const names = [...requestedResources(each)]
      expect(podRequests(each)).toEqual(new Map(names.map((name) => [name, podResource(each, 'requests', name)])))
    }),
  )
})

test('each container is looked at once, however many resources its Pod asks for', () => {
  let reads = 0
  const count = 200
  const many = Array.from({ length: count }, (_, index) => ({
    name: `c${index}`,
    get resources() {
      reads++
      return { requests: { [`a.b/r${index}`]: '1' } }
    },
  }))
  expect(podRequests({ containers: many }).size).toBe(count)
  expect(reads).toBeLessThan(5 * count)
})
