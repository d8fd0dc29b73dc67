/**
 * A structural schema in the words of OpenAPI, as kube-apiserver publishes it: unfolded, then for Swagger 2 without what
 * it has no words for. What a schema says emptily (`properties: {}`) is not said.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Schema } from '../schema/schema.ts'
import { type Form, type Json, metadataReference } from './definition-names.ts'

const STRING: Json = { type: 'string' }
const API_VERSION: Json = {
  ...STRING,
  description: 'APIVersion defines what this object looks like: the group and the version of its kind.',
}
const KIND: Json = { ...STRING, description: 'Kind is the name of what this object is.' }
const INTEGER_OR_STRING: readonly Json[] = [{ type: 'integer' }, STRING]

/** Written wherever they are, unless empty: false, '', or no elements. */
const SAID_UNLESS_EMPTY = [
  'type',
  'nullable',
  'description',
  'title',
  'format',
  'exclusiveMaximum',
  'exclusiveMinimum',
  'pattern',
  'uniqueItems',
  'enum',
  'required',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-list-type',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
] as const

/** Written whatever they say: 0 and false are values. */
const SAID = [
  'default',
  'maximum',
  'minimum',
  'maxLength',
  'minLength',
  'maxItems',
  'minItems',
  'multipleOf',
  'maxProperties',
  'minProperties',
] as const

const JUNCTORS = ['allOf', 'anyOf', 'oneOf'] as const

/** The whole of a custom resource's schema, without what its root has as a Kubernetes object. */
export function structuralDefinition(form: Form, schema: Schema): Json {
  return withEmbeddedObjects(form, form === 'v3' ? unfolded(schema) : swagger(schema))
}

function isEmpty(value: unknown): boolean {
  return !value || (Array.isArray(value) && value.length === 0)
}

/** What a schema says of the value itself, without the schemas below it. */
function own(schema: Schema): Json {
  const said: Json = {}
  for (const key of SAID_UNLESS_EMPTY) if (!isEmpty(schema[key])) said[key] = schema[key]
  for (const key of SAID) if (schema[key] !== undefined) said[key] = schema[key]
  return said
}

function mapped(properties: Schema['properties'], write: (schema: Schema) => Json): Json | undefined {
  const entries = Object.entries(properties ?? {})
  return entries.length === 0
    ? undefined
    : Object.fromEntries(entries.map(([name, schema]): [string, Json] => [name, write(schema)]))
}

/** Inside of `allOf` and its like `additionalProperties` is not published. */
function nested(schema: Schema): Json {
  const properties = mapped(schema.properties, nested)
  return {
    ...own(schema),
    ...junctions(schema),
    ...(schema.items && { items: nested(schema.items) }),
    ...(properties && { properties }),
  }
}

function junctions(schema: Schema): Json {
  const said: Json = {}
  for (const key of JUNCTORS) if (schema[key]?.length) said[key] = schema[key].map(nested)
  if (schema.not) said['not'] = nested(schema.not)
  return said
}

function below(schema: Schema, write: (schema: Schema) => Json): Json {
  const { items, additionalProperties } = schema
  const properties = mapped(schema.properties, write)
  return {
    ...(items && { items: write(items) }),
    ...(properties && { properties }),
    ...(additionalProperties !== undefined && {
      additionalProperties:
        typeof additionalProperties === 'boolean' ? additionalProperties : write(additionalProperties),
    }),
  }
}

function unfolded(schema: Schema): Json {
  const written: Json = { ...own(schema), ...junctions(schema), ...below(schema, unfolded) }
  if (!schema['x-kubernetes-int-or-string']) return written
  // Says it already, in one of the two ways that structural schemas may.
  const [first] = (written['allOf'] ?? []) as Json[]
  if (
    isDeepStrictEqual(written['anyOf'], INTEGER_OR_STRING) ||
    isDeepStrictEqual(first?.['anyOf'], INTEGER_OR_STRING)
  ) {
    return written
  }
  if (written['anyOf'] === undefined) written['anyOf'] = INTEGER_OR_STRING
  else written['allOf'] = [{ anyOf: INTEGER_OR_STRING }, ...((written['allOf'] ?? []) as Json[])]
  return written
}

/** Swagger 2 has no alternatives, no null and, in the words that kubectl reads, no unknown fields. */
function swagger(schema: Schema): Json {
  const { nullable, default: _default, ...said } = own(schema)
  const inside = below(schema, swagger)
  const keeps = schema['x-kubernetes-preserve-unknown-fields'] === true
  if (nullable || keeps) {
    delete inside['items']
    delete inside['properties']
  }
  const { type } = schema
  // kubectl cannot read an array without items, nor an untyped value whose fields are described.
  const untyped = nullable || (type === 'array' && inside['items'] === undefined) || (type === 'object' && keeps)
  if (untyped) delete said['type']
  const required = requiredOf(schema, inside['properties'] !== undefined)
  if (required.length > 0) said['required'] = required
  else delete said['required']
  return { ...said, ...inside }
}

/** A field that may be null has no type, and kubectl takes null for absent: it cannot be required. */
function requiredOf(
  { required = [], properties, additionalProperties }: Schema,
  described: boolean,
): readonly string[] {
  if (typeof additionalProperties === 'object' && additionalProperties.nullable) return []
  return described
    ? required.filter((name) => !(properties && Object.hasOwn(properties, name) && properties[name]?.nullable))
    : required
}

/** An embedded resource is an object of Kubernetes, whatever its schema says of it. */
function withEmbeddedObjects(form: Form, schema: Json): Json {
  const { properties, items, additionalProperties } = schema
  const walk = (inner: unknown): Json => withEmbeddedObjects(form, inner as Json)
  const walked: Json = {
    ...schema,
    ...(properties !== undefined && {
      properties: Object.fromEntries(Object.entries(properties as Json).map(([name, inner]) => [name, walk(inner)])),
    }),
    ...(items !== undefined && { items: walk(items) }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: walk(additionalProperties) }),
  }
  if (!schema['x-kubernetes-embedded-resource']) return walked
  // Where fields are described, kubectl refuses all others.
  if (form === 'v2' && schema['x-kubernetes-preserve-unknown-fields']) return walked
  const required = (walked['required'] ?? []) as readonly string[]
  return {
    ...walked,
    properties: { ...(walked['properties'] as Json | undefined), ...objectProperties(form) },
    required: [...required, ...['kind', 'apiVersion'].filter((name) => !required.includes(name))],
  }
}

/** What every object of Kubernetes has. */
export function objectProperties(form: Form): Json {
  return { apiVersion: API_VERSION, kind: KIND, metadata: metadataReference(form, 'ObjectMeta') }
}
