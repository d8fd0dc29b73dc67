import { expect, test } from 'vitest'
import type { CrdSpec, CrdVersion } from './crd.ts'
import { validateCrdSchema } from './crd-schema-validation.ts'
import { isShippedSchema, shippedDefinitions } from './shipped-schemas.ts'

const shipped = shippedDefinitions().flatMap(({ spec }) =>
  (spec as unknown as CrdSpec).versions.map((version) => ({ spec: spec as unknown as CrdSpec, version })),
)

test('each schema that is taken for checked passes the check', () => {
  const wrong = shipped.map(({ spec, version: { schema, subresources } }) => ({
    kind: `${spec.names.plural}.${spec.group}`,
    errors: validateCrdSchema(schema?.openAPIV3Schema, 'schema', subresources?.status !== undefined),
  }))
  expect(wrong).toEqual(wrong.map(({ kind }) => ({ kind, errors: [] })))
  expect(wrong).toHaveLength(9)
})

test('a copy is known again, whoever sends it', () => {
  for (const { spec, version } of shipped) expect(isShippedSchema(spec, structuredClone(version))).toBe(true)
})

test('anything that differs is not: a rule, the status, the version, the kind, the group', () => {
  for (const { spec, version } of shipped) {
    const changed = structuredClone(version) as CrdVersion & { schema: { openAPIV3Schema: object } }
    Object.assign(changed.schema.openAPIV3Schema, { 'x-kubernetes-validations': [{ rule: 'no such rule' }] })
    const { status, ...rest } = version.subresources ?? {}
    const subresources = status ? rest : { status: {} }
    const others: [CrdSpec, CrdVersion][] = [
      [spec, changed],
      [spec, { ...version, subresources }],
      [spec, { ...version, name: 'v9' }],
      [{ ...spec, names: { ...spec.names, plural: 'others' } }, version],
      [{ ...spec, group: 'example.com' }, version],
    ]
    expect(others.map(([of, one]) => isShippedSchema(of, one))).toEqual(others.map(() => false))
  }
})
