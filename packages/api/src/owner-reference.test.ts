import { describe, expect, test } from 'vitest'
import type { KubeObject } from './object.ts'
import { controllerOf, controllerReference, ownershipOf, referenceGroup } from './owner-reference.ts'

const owner: KubeObject = { apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', metadata: { name: 'a', uid: '1' } }

describe('owner references', () => {
  test('a controller reference blocks the deletion of its owner', () => {
    expect(controllerReference(owner)).toEqual({
      apiVersion: 'agents.x-k8s.io/v1beta1',
      kind: 'Sandbox',
      name: 'a',
      uid: '1',
      controller: true,
      blockOwnerDeletion: true,
    })
  })

  test('an owner that no server has seen is refused', () => {
    expect(() => controllerReference({ ...owner, metadata: { name: 'a' } })).toThrow(
      'an owner needs a name and a uid, got a and no uid',
    )
  })

  test.each([
    ['its own child', [controllerReference(owner)], 'owned'],
    ['a child of an object that had the name before', [{ ...controllerReference(owner), uid: '0' }], 'foreign'],
    [
      'an object with an owner that is no controller',
      [{ ...controllerReference(owner), controller: false }],
      'unowned',
    ],
    ['an object without owners', undefined, 'unowned'],
  ] as const)('%s', (_name, ownerReferences, ownership) => {
    const child = { metadata: ownerReferences ? { ownerReferences: [...ownerReferences] } : {} }
    expect(ownershipOf(child, owner)).toBe(ownership)
    expect(controllerOf(child)?.uid).toBe(ownership === 'unowned' ? undefined : ownerReferences?.[0]?.uid)
  })

  test.each([
    ['v1', ''],
    ['agents.x-k8s.io/v1beta1', 'agents.x-k8s.io'],
  ])('the group of %s is %j', (apiVersion, group) => {
    expect(referenceGroup({ apiVersion })).toBe(group)
  })
})
