import { expect, test } from 'vitest'
import type { Schema } from '../schema/schema.ts'
import { validateDefaults } from './crd-default-validation.ts'

function said(property: Schema): string[] {
  return validateDefaults({ type: 'object', properties: { p: property } }, 's').map(({ message }) => message)
}

// As a kube-apiserver 1.34 answered.
test.each<[Schema, string[]]>([
  [{ type: 'integer', format: 'int32', default: 7 }, []],
  [
    { 'x-kubernetes-int-or-string': true, format: 'int32', default: 7 },
    ['Invalid value: "int64":  in body must be of type int32: "int64"'],
  ],
  [{ 'x-kubernetes-int-or-string': true, format: 'int32', default: 'x' }, []],
  [{ 'x-kubernetes-int-or-string': true, default: true }, []],
  [{ type: 'string', format: 'unheard-of', default: 'x' }, []],
])('a default is held against the schema as it is written: %j', (property, expected) => {
  expect(said(property)).toEqual(expected)
})
