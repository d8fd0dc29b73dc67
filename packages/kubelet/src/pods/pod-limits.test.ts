import { expect, test } from 'vitest'
import { aPod } from './observed-pod-fixtures.ts'
import { podLimits } from './pod-limits.ts'

test('what a Pod may use, in the units of control groups', () => {
  const resources = { limits: { cpu: '1500m', memory: '1Gi' }, requests: { cpu: '0.1' } }
  const pod = aPod({ spec: { containers: [{ name: 'a', image: 'busybox', resources }] } })
  const expected = { memoryBytes: 2 ** 30, cpuMillicores: 1500, cpuRequestMillicores: 100 }
  const here = { bounded: new Set(['pids'] as const), limitsProblem: undefined }
  expect(podLimits(pod, here)).toEqual({ limits: { ...expected, pids: 4096 }, problem: undefined })
  // What the node cannot hold anybody to, it does not promise of its own accord.
  expect(podLimits(pod, { ...here, bounded: new Set() })).toEqual({ limits: expected, problem: undefined })
})

test('a node that can hold nobody to a limit says so of Pods that ask for one', () => {
  const nowhere = { bounded: new Set<never>(), limitsProblem: 'no control groups' }
  const asking = aPod({
    spec: { containers: [{ name: 'a', image: 'busybox', resources: { limits: { memory: '1Gi' } } }] },
  })
  expect(podLimits(asking, nowhere)).toEqual({ limits: {}, problem: 'no control groups' })
  const modest = aPod({ spec: { containers: [{ name: 'a', image: 'busybox' }] } })
  expect(podLimits(modest, nowhere)).toEqual({ limits: {}, problem: undefined })
})
