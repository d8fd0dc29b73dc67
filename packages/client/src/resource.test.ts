import { describe, expect, test } from 'vitest'
import { resources } from './core-resources.ts'
import { defineResource, joinKey, keyOf, resourcePath, splitKey } from './resource.ts'

const widgets = defineResource({
  group: 'test.example',
  version: 'v1beta1',
  plural: 'widgets',
  kind: 'Widget',
  namespaced: true,
})

test.each([
  [resourcePath(resources.pods), '/api/v1/pods'],
  [resourcePath(resources.nodes, { namespace: 'ignored', name: 'n1' }), '/api/v1/nodes/n1'],
  [resourcePath(resources.pods, { namespace: 'a', name: 'b', subresource: 'log' }), '/api/v1/namespaces/a/pods/b/log'],
  [resourcePath(widgets, { namespace: 'a' }), '/apis/test.example/v1beta1/namespaces/a/widgets'],
  [
    resourcePath(resources.clusterRoles, { name: 'system:admin?x=1#y z' }),
    '/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aadmin%3Fx%3D1%23y%20z',
  ],
  [resourcePath(resources.nodes, { name: 'n', subresource: 'proxy/a b' }), '/api/v1/nodes/n/proxy/a%20b'],
])('%s', (path, expected) => {
  expect(path).toBe(expected)
})

describe('what cannot be in a path is refused', () => {
  test.each([
    ['a name', { namespace: 'a', name: '..' }],
    ['a name with a slash', { namespace: 'a', name: 'b/../../secrets' }],
    ['an encoded slash', { namespace: 'a', name: 'b%2f..' }],
    ['an empty name', { namespace: 'a', name: '' }],
    ['a namespace', { namespace: '.', name: 'b' }],
    ['a missing namespace', { name: 'b' }],
    ['a subresource', { namespace: 'a', name: 'b', subresource: 'status/../x' }],
  ])('%s', (_name, at) => {
    expect(() => resourcePath(widgets, at)).toThrow(TypeError)
  })
})

test('keys name an object, with its namespace where it has one', () => {
  expect([
    keyOf({ metadata: { namespace: 'a', name: 'b' } }),
    keyOf({ metadata: { name: 'b' } }),
    joinKey('', 'b'),
  ]).toEqual(['a/b', 'b', 'b'])
  expect([splitKey('a/b'), splitKey('b')]).toEqual([
    { namespace: 'a', name: 'b' },
    { namespace: undefined, name: 'b' },
  ])
})
