import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import type { AdmissionRequest } from '../verbs/call.ts'
import { taintNewNode } from './node-taints.ts'

function taintsAfter(spec: object, groups: string[]): unknown {
  const object = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec } as KubeObject
  taintNewNode({ object, user: { username: 'u', groups } } as unknown as AdmissionRequest)
  return (object['spec'] as { taints?: unknown }).taints
}

test('a Node that somebody makes is not ready', () => {
  const taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }
  expect(taintsAfter({}, ['system:masters'])).toEqual([taint])
  expect(taintsAfter({ taints: [taint] }, ['system:masters'])).toEqual([taint])
  expect(taintsAfter({ taints: [{ key: 'a', effect: 'NoExecute' }] }, [])).toEqual([
    { key: 'a', effect: 'NoExecute' },
    taint,
  ])
})

test('a kubelet says so itself', () => {
  expect(taintsAfter({}, ['system:nodes', 'system:authenticated'])).toBe(undefined)
})
