import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { deepCopy, deepFreeze } from '../storage/freeze.ts'
import { applyJsonPatch, type JsonPatchOperation } from './json-patch.ts'

describe('applyJsonPatch', () => {
  test.each<[document: unknown, operations: JsonPatchOperation[], expected: unknown]>([
    [{ a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
    [{ a: [1, 3] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2, 3] }],
    [{ a: [1] }, [{ op: 'add', path: '/a/-', value: 2 }], { a: [1, 2] }],
    [{ a: [1, 2, 3] }, [{ op: 'remove', path: '/a/-1' }], { a: [1, 2] }],
    [
      { 'a/b': 1, 'm~n': 2 },
      [
        { op: 'remove', path: '/a~1b' },
        { op: 'replace', path: '/m~0n', value: 3 },
      ],
      { 'm~n': 3 },
    ],
    [{ a: { b: 1 } }, [{ op: 'move', from: '/a/b', path: '/c' }], { a: {}, c: 1 }],
    [{ a: { b: [1] } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: [1] }, c: { b: [1] } }],
    [
      { a: null },
      [
        { op: 'test', path: '/a', value: null },
        { op: 'test', path: '/b', value: null },
      ],
      { a: null },
    ],
    [{ a: 1 }, [{ op: 'replace', path: '', value: [1] }], [1]],
  ])('%j with %j is %j', (document, operations, expected) => {
    expect(applyJsonPatch(deepFreeze(document), operations)).toEqual(expected)
  })

  test.each<[name: string, operations: unknown[], message: string]>([
    ['a missing path', [{ op: 'remove', path: '/x' }], 'remove operation does not apply: doc is missing path: "/x"'],
    [
      'a missing parent',
      [{ op: 'add', path: '/x/y', value: 1 }],
      'add operation does not apply: doc is missing path: "/x/y"',
    ],
    ['an index beyond the end', [{ op: 'add', path: '/list/9', value: 1 }], 'Unable to access invalid index: 9'],
    ['an index that is none', [{ op: 'add', path: '/list/x', value: 1 }], 'invalid array index "x" in "/list/x"'],
    ['a failed test', [{ op: 'test', path: '/a', value: 2 }], 'testing value "/a" failed'],
    ['an unknown operation', [{ op: 'jump', path: '/a' }], 'Unexpected kind: jump'],
    ['a path without a slash', [{ op: 'add', path: 'a', value: 1 }], 'path "a" must start with a slash'],
  ])('refuses %s', (_name, operations, message) => {
    expect(() => applyJsonPatch({ a: 1, list: [] }, operations as JsonPatchOperation[])).toThrow(message)
  })

  test('copies cannot multiply a document without end', () => {
    const operations: JsonPatchOperation[] = [{ op: 'add', path: '/x', value: 'x'.repeat(1000) }]
    for (let index = 0; index < 30; index++) operations.push({ op: 'copy', from: '', path: `/c${index}` })
    expect(() => applyJsonPatch({}, operations)).toThrow(/copy operation does not apply to the whole document/)
    const doubling: JsonPatchOperation[] = [{ op: 'add', path: '/x', value: { s: 'x'.repeat(1000) } }]
    for (let index = 0; index < 30; index++) doubling.push({ op: 'copy', from: '/x', path: `/x/c${index}` })
    expect(() => applyJsonPatch({}, doubling)).toThrow(
      /the accumulated size increase of copy is \d+, exceeding the limit/,
    )
  })

  test('insertions without end are stopped', () => {
    const list = Array.from({ length: 700_000 }, () => 0)
    const operations = Array.from({ length: 10_000 }, () => ({ op: 'add', path: '/list/0', value: 1 }) as const)
    const started = performance.now()
    try {
      applyJsonPatch({ list }, operations)
    } catch (error) {
      expect((error as Error).message).toBe('applying 10000 operations takes more than 250 ms')
    }
    expect(performance.now() - started).toBeLessThan(10_000)
  })

  test('adding and removing again changes nothing, and the document is never touched', () => {
    const document = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.jsonValue({ maxDepth: 2 }), {
      noNullPrototype: true,
    })
    fc.assert(
      fc.property(document, fc.jsonValue(), (given, value) => {
        const frozen = deepFreeze(deepCopy(given))
        const operations: JsonPatchOperation[] = [
          { op: 'add', path: '/new~1key', value },
          { op: 'test', path: '/new~1key', value },
          { op: 'remove', path: '/new~1key' },
        ]
        expect(applyJsonPatch(frozen, operations)).toEqual(given)
      }),
    )
  })
})
