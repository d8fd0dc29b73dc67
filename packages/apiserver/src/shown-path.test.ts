import { expect, test } from 'vitest'
import { decodeYaml } from './http/decode-yaml.ts'
import { decodeNative } from './schema/native.ts'
import { prune } from './schema/prune.ts'
import type { Schema } from './schema/schema.ts'
import { LONGEST_PATH } from './shown-path.ts'
import { decodeJson } from './verbs/decode.ts'

const LONG = 'long'.repeat(LONGEST_PATH)
const fields = { a: 1, b: 2 }
const machines: Schema = {
  type: 'object',
  properties: { spec: { type: 'object', additionalProperties: { type: 'object', properties: {} } } },
}
const definition = { spec: { versions: [{ schema: { openAPIV3Schema: { properties: { [LONG]: fields } } } }] } }
const DEFINITION = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition'

test.each<[name: string, paths: () => readonly string[], start: string]>([
  ['custom kinds do not know', () => prune(machines, { spec: { [LONG]: { ...fields } } }), 'spec.longlong'],
  [
    'built-in kinds do not know',
    () => decodeNative(DEFINITION, definition).unknownFields,
    'spec.versions[0].schema.openAPIV3Schema.properties.longlong',
  ],
  ['JSON has twice', () => decodeJson(`{"${LONG}":{"a":1,"a":2,"a":3}}`).duplicates, 'duplicate field "longlong'],
  ['YAML has twice', () => decodeYaml(`? ${LONG}\n: {a: 1, a: 2, a: 3}`).duplicates, 'duplicate field "longlong'],
])('of fields that %s, of which thousands may be below one long key, beginnings are told', (_name, paths, start) => {
  const told = paths()
  expect(told).toHaveLength(2)
  for (const path of told) {
    expect(path.slice(0, start.length)).toBe(start)
    expect(path.length).toBeLessThanOrEqual('duplicate field ""'.length + LONGEST_PATH)
  }
})
