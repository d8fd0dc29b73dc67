import { expect, test } from 'vitest'
import type { Schema } from '../schema/schema.ts'
import { structuralDefinition } from './structural.ts'

const EITHER = [{ type: 'integer' }, { type: 'string' }] as const
const V3_METADATA = { allOf: [{ $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' }] }
const V2_METADATA = { $ref: '#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' }
const TYPE_META = {
  apiVersion: { type: 'string', description: expect.stringContaining('APIVersion defines') },
  kind: { type: 'string', description: expect.stringContaining('Kind is') },
}
const INT_OR_STRING = { 'x-kubernetes-int-or-string': true } as const

// What a kube-apiserver 1.34 publishes; the differential test compares many more.
test.each<[string, Schema, { v3: object; v2: object }]>([
  [
    'what is said emptily is not said',
    { type: 'object', properties: {}, required: [], nullable: false, description: '', anyOf: [] },
    { v3: { type: 'object' }, v2: { type: 'object' } },
  ],
  [
    'zero is a value',
    { type: 'integer', minimum: 0, default: 0, exclusiveMinimum: false },
    { v3: { type: 'integer', minimum: 0, default: 0 }, v2: { type: 'integer', minimum: 0 } },
  ],
  ['int-or-string', INT_OR_STRING, { v3: { ...INT_OR_STRING, anyOf: EITHER }, v2: INT_OR_STRING }],
  [
    'int-or-string that says so',
    { ...INT_OR_STRING, anyOf: EITHER },
    { v3: { ...INT_OR_STRING, anyOf: EITHER }, v2: INT_OR_STRING },
  ],
  [
    'int-or-string with alternatives of its own',
    { ...INT_OR_STRING, anyOf: [{ minimum: 1 }], allOf: [{ maximum: 9 }] },
    {
      v3: { ...INT_OR_STRING, anyOf: [{ minimum: 1 }], allOf: [{ anyOf: EITHER }, { maximum: 9 }] },
      v2: INT_OR_STRING,
    },
  ],
  [
    'a field that may be null cannot be required in Swagger 2',
    {
      type: 'object',
      required: ['a', 'b'],
      properties: { a: { type: 'string', nullable: true }, b: { type: 'string' } },
    },
    {
      v3: {
        type: 'object',
        required: ['a', 'b'],
        properties: { a: { type: 'string', nullable: true }, b: { type: 'string' } },
      },
      v2: { type: 'object', required: ['b'], properties: { a: {}, b: { type: 'string' } } },
    },
  ],
  [
    'an object that keeps unknown fields',
    { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { a: { type: 'string' } } },
    {
      v3: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { a: { type: 'string' } } },
      v2: { 'x-kubernetes-preserve-unknown-fields': true },
    },
  ],
  [
    'an embedded object',
    { type: 'object', 'x-kubernetes-embedded-resource': true, properties: { spec: { type: 'object' } } },
    {
      v3: {
        type: 'object',
        'x-kubernetes-embedded-resource': true,
        properties: { spec: { type: 'object' }, ...TYPE_META, metadata: V3_METADATA },
        required: ['kind', 'apiVersion'],
      },
      v2: {
        type: 'object',
        'x-kubernetes-embedded-resource': true,
        properties: { spec: { type: 'object' }, ...TYPE_META, metadata: V2_METADATA },
        required: ['kind', 'apiVersion'],
      },
    },
  ],
  [
    'an embedded object of any kind',
    { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
    {
      v3: {
        type: 'object',
        'x-kubernetes-embedded-resource': true,
        'x-kubernetes-preserve-unknown-fields': true,
        properties: { ...TYPE_META, metadata: V3_METADATA },
        required: ['kind', 'apiVersion'],
      },
      v2: { 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
    },
  ],
  [
    'constraints inside of alternatives',
    {
      type: 'object',
      not: { properties: { a: { default: 1, minLength: 1 } }, additionalProperties: { type: 'string' } },
    },
    { v3: { type: 'object', not: { properties: { a: { default: 1, minLength: 1 } } } }, v2: { type: 'object' } },
  ],
])('%s', (_name, schema, { v3, v2 }) => {
  expect(structuralDefinition('v3', schema)).toEqual(v3)
  expect(structuralDefinition('v2', schema)).toEqual(v2)
})
