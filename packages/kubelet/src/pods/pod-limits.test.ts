import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import { aPod } from './observed-pod-fixtures.ts'
import { podAmount, podLimits } from './pod-limits.ts'

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
  test.each<[name: string, spec: Parameters<typeof aPod>[0], limit: number | undefined, request: number]>([
    [
      'containers add up',
      { spec: { containers: [asking('a', { limit: '1Mi' }), asking('b', { limit: '2Mi' })] } },
      3 * MI,
      3 * MI,
    ],
    [
      'a container without a limit has the Pod have none',
      { spec: { containers: [asking('a', { limit: '1Mi' }), asking('b', { request: '2Mi' })] } },
      undefined,
      3 * MI,
    ],
    [
      'an init container counts where it needs more',
      { spec: { initContainers: [asking('i', { limit: '9Mi' })], containers: [asking('a', { limit: '1Mi' })] } },
      9 * MI,
      9 * MI,
    ],
    [
      'beside the sidecars that are there before it',
      {
        spec: {
          initContainers: [asking('s', { limit: '2Mi' }, sidecar), asking('i', { limit: '4Mi' })],
          containers: [asking('a', { limit: '3Mi' })],
        },
      },
      6 * MI,
      6 * MI,
    ],
    [
      'sidecars run beside the others',
      {
        spec: { initContainers: [asking('s', { limit: '2Mi' }, sidecar)], containers: [asking('a', { limit: '3Mi' })] },
      },
      5 * MI,
      5 * MI,
    ],
    [
      'overhead comes on top',
      { spec: { overhead: { memory: '10Mi' }, containers: [asking('a', { limit: '1Mi' })] } },
      11 * MI,
      11 * MI,
    ],
    ['zero is no limit', { spec: { containers: [asking('a', { limit: '0' })] } }, undefined, 0],
    [
      'the Pod as a whole has the last word',
      { spec: { containers: [asking('a', {})], resources: { limits: { memory: '7Mi' } } } as never },
      7 * MI,
      0,
    ],
  ])('%s', (_name, options, limit, request) => {
    const pod = aPod(options)
    expect([podAmount(pod, 'limits', 'memory'), podAmount(pod, 'requests', 'memory')]).toEqual([limit, request])
  })

  test('in the units of control groups', () => {
    const resources = { limits: { cpu: '1500m', memory: '1Gi' }, requests: { cpu: '0.1' } }
    const pod = aPod({ spec: { containers: [{ name: 'a', image: 'busybox', resources }] } })
    const expected = { memoryBytes: 1024 * MI, cpuMillicores: 1500, cpuRequestMillicores: 100 }
    expect(podLimits(pod, new Set(['pids']))).toEqual({ ...expected, pids: 4096 })
    // What the node cannot hold anybody to, it does not promise of its own accord.
    expect(podLimits(pod, new Set())).toEqual(expected)
  })
})
