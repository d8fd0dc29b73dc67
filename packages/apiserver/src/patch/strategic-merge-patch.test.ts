import { describe, expect, test } from 'vitest'
import { builtinSchema } from '../schema/builtin.ts'
import type { JsonObject } from './json-value.ts'
import { applyStrategicMergePatch } from './strategic-merge-patch.ts'

const pod = builtinSchema('io.k8s.api.core.v1.Pod')
const base = {
  metadata: { labels: { a: '1' }, finalizers: ['x', 'y'] },
  spec: {
    containers: [
      { name: 'a', image: 'x', args: ['1'] },
      { name: 'b', image: 'y' },
    ],
    volumes: [{ name: 'v', emptyDir: {} }],
    nodeSelector: { disk: 'ssd' },
  },
}

describe('applyStrategicMergePatch', () => {
  test.each<[name: string, patch: JsonObject, expected: JsonObject]>([
    ['nothing changes nothing', {}, base],
    [
      'fields are merged',
      { metadata: { labels: { b: '2' } } },
      { ...base, metadata: { ...base.metadata, labels: { a: '1', b: '2' } } },
    ],
    [
      'null removes',
      { spec: { nodeSelector: null } },
      { ...base, spec: { containers: base.spec.containers, volumes: base.spec.volumes } },
    ],
    [
      'a container is found by its name',
      { spec: { containers: [{ name: 'b', image: 'z' }] } },
      {
        ...base,
        spec: {
          ...base.spec,
          containers: [
            { name: 'a', image: 'x', args: ['1'] },
            { name: 'b', image: 'z' },
          ],
        },
      },
    ],
    [
      'a new container comes first, as Kubernetes’ own documentation shows',
      { spec: { containers: [{ name: 'c', image: 'w' }] } },
      { ...base, spec: { ...base.spec, containers: [{ name: 'c', image: 'w' }, ...base.spec.containers] } },
    ],
    [
      'a list without a strategy is replaced',
      { spec: { containers: [{ name: 'a', args: ['2', '3'] }] } },
      {
        ...base,
        spec: {
          ...base.spec,
          containers: [
            { name: 'a', image: 'x', args: ['2', '3'] },
            { name: 'b', image: 'y' },
          ],
        },
      },
    ],
    [
      '$patch delete takes an element',
      { spec: { containers: [{ $patch: 'delete', name: 'a' }] } },
      { ...base, spec: { ...base.spec, containers: [{ name: 'b', image: 'y' }] } },
    ],
    [
      '$patch replace takes a whole list',
      { spec: { containers: [{ $patch: 'replace' }, { name: 'n', image: 'm' }] } },
      { ...base, spec: { ...base.spec, containers: [{ name: 'n', image: 'm' }] } },
    ],
    [
      '$patch replace takes a whole object',
      { metadata: { labels: { $patch: 'replace', c: '3' } } },
      { ...base, metadata: { ...base.metadata, labels: { c: '3' } } },
    ],
    [
      '$retainKeys drops the other members of a union',
      { spec: { volumes: [{ $retainKeys: ['name', 'configMap'], name: 'v', configMap: { name: 'm' } }] } },
      { ...base, spec: { ...base.spec, volumes: [{ name: 'v', configMap: { name: 'm' } }] } },
    ],
    [
      '$setElementOrder reorders',
      { spec: { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] } },
      { ...base, spec: { ...base.spec, containers: [base.spec.containers[1], base.spec.containers[0]] } },
    ],
    [
      'an element that the order does not name keeps its place',
      {
        spec: {
          '$setElementOrder/containers': [{ name: 'c' }, { name: 'b' }],
          containers: [{ name: 'c', image: 'w' }],
        },
      },
      {
        ...base,
        spec: {
          ...base.spec,
          containers: [{ name: 'c', image: 'w' }, base.spec.containers[0], base.spec.containers[1]],
        },
      },
    ],
    [
      'finalizers are a set',
      { metadata: { finalizers: ['z', 'x'] } },
      { ...base, metadata: { ...base.metadata, finalizers: ['z', 'x', 'y'] } },
    ],
    [
      '$deleteFromPrimitiveList takes from it',
      { metadata: { '$deleteFromPrimitiveList/finalizers': ['x'] } },
      { ...base, metadata: { ...base.metadata, finalizers: ['y'] } },
    ],
    [
      '__proto__ is a key like any other',
      { metadata: { labels: JSON.parse('{"__proto__":"x"}') as JsonObject } },
      { ...base, metadata: { ...base.metadata, labels: JSON.parse('{"a":"1","__proto__":"x"}') as JsonObject } },
    ],
  ])('%s', (_name, patch, expected) => {
    const before = structuredClone(base)
    expect(JSON.stringify(applyStrategicMergePatch(base, patch, pod))).toBe(JSON.stringify(expected))
    expect(base).toEqual(before)
  })

  test.each<[name: string, patch: JsonObject, message: string]>([
    ['an unknown directive', { $patch: 'bogus' }, 'unknown patch type: bogus in map: map[$patch:bogus]'],
    [
      'an order that is not that of the elements',
      { spec: { '$setElementOrder/containers': [{ name: 'b' }], containers: [{ name: 'a', image: 'z' }] } },
      "The order in patch list:\n[map[image:z name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n",
    ],
    [
      'an element without its key',
      { spec: { containers: [{ image: 'x' }] } },
      'map: map[image:x] does not contain declared merge key: name',
    ],
    [
      'an element of another type than the others',
      { metadata: { finalizers: [7] } },
      'list element types are not identical: [[x y] [7]]',
    ],
    [
      'an order that is no list',
      { spec: { '$setElementOrder/containers': 'a' } },
      'invalid patch format of $setElementOrder/containers: expected a list',
    ],
  ])('%s is refused', (_name, patch, message) => {
    expect(() => applyStrategicMergePatch(base, patch, pod)).toThrow(message)
  })

  test.each<[name: string, patch: (count: number) => JsonObject]>([
    ['are merged', (count) => ({ spec: { volumes: numbered(count, (name) => ({ name, hostPath: null })).reverse() } })],
    ['are added', (count) => ({ spec: { volumes: [{ name: 'v', $patch: 'delete' }, ...others(count)] } })],
    [
      'are deleted',
      (count) => ({ spec: { volumes: numbered(count, (name) => ({ name: `${name}x`, $patch: 'delete' })) } }),
    ],
    ['are put in order', (count) => ({ spec: { '$setElementOrder/volumes': others(count), volumes: others(count) } })],
  ])('elements that %s are looked for once each, however many there are', (_name, patch) => {
    const count = 500
    let reads = 0
    const volumes = numbered(count, (name) => ({
      get name() {
        reads++
        return name
      },
    }))
    applyStrategicMergePatch({ spec: { volumes } }, patch(count), pod)
    expect(reads).toBeLessThan(10 * count)
  })

  test('the key of an element is read once for all of the order that it is looked for in', () => {
    let reads = 0
    const last = {
      get name() {
        reads++
        return 'last'
      },
    }
    const order = [...others(500), { name: 'last' }]
    applyStrategicMergePatch(base, { spec: { '$setElementOrder/volumes': order, volumes: [last] } }, pod)
    expect(reads).toBeLessThan(10)
  })
})

function numbered<T>(count: number, make: (name: string) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(`v${index}`))
}

function others(count: number): JsonObject[] {
  return numbered(count, (name) => ({ name: `other-${name}` }))
}
