import type { PersistentVolumeClaimTemplate, SandboxTemplate } from '@caisson/api'
import { expect, test } from 'vitest'
import { withVolumeClaims } from './volume-claims.ts'

const volume = (name: string, size = '1Gi'): PersistentVolumeClaimTemplate => ({
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: size } } },
})
const merging = (message: string) => ({ rejected: `failed to merge volume claim templates: ${message}` })

type Policy = SandboxTemplate['spec']['volumeClaimTemplatesPolicy']

test.each<
  [
    what: string,
    theirs: PersistentVolumeClaimTemplate[],
    own: PersistentVolumeClaimTemplate[],
    policy: Policy,
    expected: object,
  ]
>([
  ['nothing is nothing', [], [], undefined, []],
  ["the template's alone, whatever the policy", [volume('a')], [], 'Disallowed', [volume('a')]],
  ["Allowed adds after the template's", [volume('a')], [volume('b')], 'Allowed', [volume('a'), volume('b')]],
  [
    'Overrides replaces in place and adds',
    [volume('a'), volume('b')],
    [volume('c'), volume('b', '2Gi')],
    'Overrides',
    [volume('a'), volume('b', '2Gi'), volume('c')],
  ],
  ['Disallowed', [], [volume('b')], 'Disallowed', merging('volume claim templates are disallowed by the template')],
  [
    'no policy is Disallowed',
    [],
    [volume('b')],
    undefined,
    merging('volume claim templates are disallowed by the template'),
  ],
  [
    'Allowed replaces nothing',
    [volume('a')],
    [volume('b'), volume('a')],
    'Allowed',
    merging('overriding volume claim templates is forbidden by the template: cannot override template volume "a"'),
  ],
  [
    'one without a name',
    [],
    [volume('a'), volume('')],
    'Allowed',
    merging('claim: invalid volume claim templates: name at index 1 is empty'),
  ],
  [
    'two with one name',
    [],
    [volume('a'), volume('a')],
    'Overrides',
    merging('claim: invalid volume claim templates: duplicate name "a"'),
  ],
  [
    'in the template',
    [volume('a'), volume('a')],
    [volume('b')],
    'Overrides',
    merging('template: invalid volume claim templates: duplicate name "a"'),
  ],
  [
    'in the template alone',
    [volume('')],
    [],
    'Overrides',
    {
      rejected: 'invalid volume claim templates in template: invalid volume claim templates: name at index 0 is empty',
    },
  ],
])('%s', (_what, theirs, own, policy, expected) => {
  const template = {
    metadata: { name: 't' },
    spec: {
      podTemplate: { spec: { containers: [] } },
      volumeClaimTemplates: theirs,
      ...(policy && { volumeClaimTemplatesPolicy: policy }),
    },
  } as unknown as SandboxTemplate
  expect(withVolumeClaims(template, own)).toEqual(expected)
})

test('each is looked at a few times, however many there are', () => {
  let reads = 0
  const count = 300
  const counted = (prefix: string) =>
    Array.from({ length: count }, (_, index) => ({
      ...volume(''),
      get metadata() {
        reads++
        return { name: `${prefix}${index}` }
      },
    }))
  const spec = { volumeClaimTemplates: counted('a'), volumeClaimTemplatesPolicy: 'Overrides' }
  expect(withVolumeClaims({ spec } as SandboxTemplate, counted('b'))).toHaveLength(2 * count)
  expect(reads).toBeLessThan(20 * count)
})
