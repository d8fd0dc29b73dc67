import { expect, test } from 'vitest'
import type { Schema } from '../schema/schema.ts'
import { typeErrors } from './typed-check.ts'

const item: Schema = { type: 'object', properties: { k: { type: 'string' }, v: { type: 'string' } } }
const schema: Schema = {
  type: 'object',
  properties: {
    s: { type: 'string' },
    i: { type: 'integer' },
    b: { type: 'boolean' },
    any: { 'x-kubernetes-int-or-string': true },
    free: { type: 'object' },
    counts: { type: 'object', additionalProperties: { type: 'integer' } },
    set: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
    map: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'], items: item },
    kept: {
      type: 'object',
      'x-kubernetes-preserve-unknown-fields': true,
      properties: { known: { type: 'object', properties: { a: { type: 'string' } } } },
    },
    pod: { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
  },
}

// As a kube-apiserver 1.34 answered each of them.
test.each<[value: object, said: string[]]>([
  [{ s: 'x', i: 1.5, b: true, any: '5%', free: { a: { b: 1 } }, counts: { a: 1 } }, []],
  [{ s: null, i: null, b: null, set: null, free: null }, []],
  [{ s: 7 }, ['.s: expected string, got &value.valueUnstructured{Value:7}']],
  [{ i: '1' }, ['.i: expected numeric (int or float), got string']],
  [{ b: 'true' }, ['.b: expected boolean, got &{true}']],
  [{ free: 'text' }, ['.free: expected map, got &{text}']],
  [{ set: 'x' }, ['.set: expected list, got &{x}']],
  [{ set: [1] }, ['.set[=1]: expected string, got &value.valueUnstructured{Value:1}']],
  [{ set: ['a', 'a'] }, ['.set: duplicate entries for key [="a"]']],
  [{ map: [{ k: '1' }, { k: '1' }] }, ['.map: duplicate entries for key [k="1"]']],
  [
    { map: [{ v: 'x' }] },
    [
      '.map: element 0: associative list with keys has an element that omits all key fields ["k"] (and doesn\'t have default values for any key fields)',
    ],
  ],
  [{ counts: { a: 'x' } }, ['.counts.a: expected numeric (int or float), got string']],
  [{ bogus: 1 }, ['.bogus: field not declared in schema']],
  [{ kept: { whatever: 1, known: { a: 'x', more: 1 } } }, []],
  [{ kept: { known: { a: 1 } } }, ['.kept.known.a: expected string, got &value.valueUnstructured{Value:1}']],
  [{ pod: { kind: 'Pod', spec: { a: 1 } } }, []],
  [{ pod: { metadata: { bogus: 1 } } }, ['.pod.metadata.bogus: field not declared in schema']],
])('%j', (value, said) => {
  expect(typeErrors(value, schema)).toEqual(said)
})

test('built-in kinds take amounts and ports as numbers too', () => {
  const pod = {
    spec: {
      containers: [
        { name: 'a', resources: { limits: { cpu: 1 } }, livenessProbe: { httpGet: { port: 80 } } },
        { name: 'b', livenessProbe: { httpGet: { port: 'web' } } },
      ],
    },
  }
  expect(typeErrors(pod, { $ref: 'io.k8s.api.core.v1.Pod' })).toEqual([])
})

test('a hostile object is told of a bounded number of mistakes', () => {
  const counts = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`k${index}`, 'x']))
  expect(typeErrors({ counts }, schema)).toHaveLength(10)
})

test('of many mistakes few are said, and of long paths their beginnings', () => {
  const maps: Schema = { type: 'object', properties: { counts: { type: 'object', additionalProperties: schema } } }
  const map = Array.from({ length: 1000 }, () => ({ k: '1' }))
  const errors = typeErrors({ counts: { ['x'.repeat(100_000)]: { map } } }, maps)
  expect(errors).toHaveLength(10)
  expect(errors.join('').length).toBeLessThan(20_000)
})
