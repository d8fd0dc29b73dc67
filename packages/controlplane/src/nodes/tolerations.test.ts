import type { PodObject } from '@caisson/client'
import type { Taint, Toleration } from 'kubernetes-types/core/v1.d.ts'
import { expect, test } from 'vitest'
import { toleratedMs } from './tolerations.ts'

const out: Taint = { key: 'kubernetes.io/e2e-evict', value: 'yes', effect: 'NoExecute' }
const silent: Taint = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }
const NEVER = 0
const ALWAYS = Number.POSITIVE_INFINITY

test.each<[string, Toleration[], Taint[], number]>([
  ['nothing is borne without a toleration', [], [out], NEVER],
  ['where there is nothing to bear, all may stay', [], [], ALWAYS],
  ['everything', [{ operator: 'Exists' }], [out, silent], ALWAYS],
  ['a key, whatever its value', [{ key: out.key, operator: 'Exists' }], [out], ALWAYS],
  ['a key and its value', [{ key: out.key, value: 'yes' }], [out], ALWAYS],
  ['not another value', [{ key: out.key, value: 'no', operator: 'Equal' }], [out], NEVER],
  ['not another effect', [{ key: out.key, operator: 'Exists', effect: 'NoSchedule' }], [out], NEVER],
  ['no key and Equal is nothing', [{ operator: 'Equal', value: 'yes' }], [out], NEVER],
  ['one of two is not enough', [{ key: out.key, operator: 'Exists' }], [out, silent], NEVER],
  ['for a time', [{ key: out.key, operator: 'Exists', tolerationSeconds: 5 }], [out], 5000],
  ['zero is no time', [{ key: out.key, operator: 'Exists', tolerationSeconds: 0 }], [out], 0],
  ['nor is less', [{ key: out.key, operator: 'Exists', tolerationSeconds: -1 }], [out], 0],
  [
    'the shortest of several',
    [
      { key: out.key, operator: 'Exists', tolerationSeconds: 9 },
      { key: silent.key, operator: 'Exists', tolerationSeconds: 7 },
    ],
    [out, silent],
    7000,
  ],
  [
    'the first that fits counts',
    [{ operator: 'Exists' }, { key: out.key, operator: 'Exists', tolerationSeconds: 5 }],
    [out],
    ALWAYS,
  ],
])('%s', (_name, tolerations, taints, expected) => {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec: { containers: [], tolerations } } as PodObject
  expect(toleratedMs(pod, taints)).toBe(expected)
})
