import type { Container, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import { grantedPod, grantsOf, recalledGrants } from './granted-resources.ts'
import { aPod } from './observed-pod-fixtures.ts'

const asking = (cpu: string, fields: Partial<Container> = {}): Container => ({
  name: 'main',
  image: 'busybox',
  resources: { requests: { cpu }, limits: { cpu, memory: '64Mi' } },
  ...fields,
})
const told = (status: object): PodStatus => ({ containerStatuses: [{ name: 'main', ...status }] }) as PodStatus

describe('a Pod runs as it was granted', () => {
  test('what it asks for, where that is granted: it is the very same object', () => {
    const pod = aPod({ spec: { containers: [asking('1')] } })
    expect(grantedPod(pod, grantsOf(pod))).toBe(pod)
    expect(grantedPod(pod, grantsOf(aPod({ spec: { containers: [asking('1000m')] } })))).toBe(pod)
  })

  test('what it had before, where it asks for something else', () => {
    const before = aPod({
      spec: { containers: [asking('1')], initContainers: [asking('1', { name: 'side', restartPolicy: 'Always' })] },
    })
    const pod = aPod({
      generation: 2,
      spec: {
        containers: [asking('2', { image: 'busybox:2' })],
        initContainers: [asking('3', { name: 'side', restartPolicy: 'Always' })],
      },
    })
    expect(grantedPod(pod, grantsOf(before))).toEqual({
      ...pod,
      spec: {
        containers: [asking('1', { image: 'busybox:2' })],
        initContainers: [asking('1', { name: 'side', restartPolicy: 'Always' })],
      },
    })
  })
})

describe('another agent', () => {
  const spec = { containers: [asking('2')] }

  test('goes by what the one before it wrote down', () => {
    const status = told({ allocatedResources: { cpu: '1' }, resources: { limits: { cpu: '1', memory: '64Mi' } } })
    const pod = aPod({ spec, status })
    expect(grantedPod(pod, recalledGrants(pod)).spec).toEqual({ containers: [asking('1')] })
  })

  test('goes by what is asked for, where nothing was written down', () => {
    for (const status of [undefined, told({})]) {
      const pod = aPod({ spec, ...(status && { status }) })
      expect(grantedPod(pod, recalledGrants(pod))).toBe(pod)
    }
  })
})
