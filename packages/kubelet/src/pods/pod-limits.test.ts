import { expect, test } from 'vitest'
import { aPod } from './observed-pod-fixtures.ts'
import { podLimits } from './pod-limits.ts'

test('what a Pod may use, in the units of control groups', () => {
  const resources = { limits: { cpu: '1500m', memory: '1Gi' }, requests: { cpu: '0.1' } }
  const pod = aPod({ spec: { containers: [{ name: 'a', image: 'busybox', resources }] } })
  const expected = { memoryBytes: 2 ** 30, cpuMillicores: 1500, cpuRequestMillicores: 100 }
  expect(podLimits(pod, new Set(['pids']))).toEqual({ ...expected, pids: 4096 })
  // What the node cannot hold anybody to, it does not promise of its own accord.
  expect(podLimits(pod, new Set())).toEqual(expected)
})
