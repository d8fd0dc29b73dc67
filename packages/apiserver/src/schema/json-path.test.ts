import { describe, expect, test } from 'vitest'
import { compileJsonPath, JsonPathError } from './json-path.ts'

const OBJECT = {
  metadata: { name: 'n', labels: { 'a.b/c': 'dotted' } },
  spec: { replicas: 3, containers: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] },
  status: {
    conditions: [
      { type: 'Ready', status: 'True', reason: 'Up' },
      { type: 'Suspended', status: 'False' },
    ],
    counts: [1, 5, 9],
  },
}

describe('compileJsonPath', () => {
  test.each<[path: string, found: unknown[]]>([
    ['.spec.replicas', [3]],
    ['$.spec.replicas', [3]],
    ['.spec.missing.deeper', []],
    ['.metadata.labels.a\\.b/c', ['dotted']],
    ["['metadata']['name']", ['n']],
    ['.spec.containers[0].name', ['a']],
    ['.spec.containers[-1].name', ['c']],
    ['.spec.containers[*].name', ['a', 'b', 'c']],
    ['.spec.containers[0:2].name', ['a', 'b']],
    ['.spec.containers[::2].name', ['a', 'c']],
    ['.spec.containers[0,2].name', ['a', 'c']],
    ['.status.conditions[?(@.type=="Ready")].status', ['True']],
    [".status.conditions[?(@.type=='Ready')].reason", ['Up']],
    ['.status.conditions[?(@.type == "Gone")].status', []],
    ['.status.conditions[?(@.reason)].type', ['Ready']],
    ['.status.counts[?(@ > 4)]', [5, 9]],
    ['..name', ['n', 'a', 'b', 'c']],
    ['.metadata.*', ['n', { 'a.b/c': 'dotted' }]],
    ['.__proto__', []],
    ['.constructor.name', []],
  ])('%s', (path, found) => {
    expect(compileJsonPath(path)(OBJECT)).toEqual(found)
  })

  test.each<[path: string, problem: string]>([
    ['.spec.containers[5].name', 'array index out of bounds: index 5, length 3'],
    ['.spec[0]', 'map is not array or slice'],
    ['.status.conditions[?(@.status > 3)]', 'incompatible types for comparison'],
    ['.spec.containers[', 'unterminated array'],
    ['.spec.containers[a]', 'invalid array index a'],
    ['.a[?(@.b=="c"]', 'unterminated filter'],
    ['.a[?(@.b=="c")', 'unclosed array expect ]'],
    ['....a', 'invalid multiple recursive descent'],
    ['spec', 'unrecognized identifier spec'],
  ])('%s fails', (path, problem) => {
    expect(() => compileJsonPath(path)(OBJECT)).toThrow(new JsonPathError(problem))
  })

  test('descents that multiply stop', () => {
    let nested: unknown = 1
    for (let depth = 0; depth < 500; depth++) nested = { a: nested }
    expect(() => compileJsonPath('..a..a..a')(nested)).toThrow('more than 100000 results')
  })
})

test.each([
  ['a union', `[0][${Array.from({ length: 3000 }, () => '*').join(',')}]`],
  ['a union after a union', `[${'*,'.repeat(90)}*][${'*,'.repeat(2000)}*]`],
  ['a filter after a union', `[${'*,'.repeat(90)}*][?(@==1)]`],
])('%s looks at no more than it may find', (_, path) => {
  let looks = 0
  const list = new Proxy(
    Array.from({ length: 1000 }, () => 0),
    {
      get(target, key, receiver) {
        looks++
        return Reflect.get(target, key, receiver) as unknown
      },
    },
  )
  const value = Array.from({ length: 10 }, () => list)
  expect(() => compileJsonPath(path)(value)).toThrow(JsonPathError)
  expect(looks).toBeLessThan(300_000)
})
