/** The schema of a custom resource as OpenAPI documents show it: what `kubectl explain` and client-side validation read. */
import type { Resource } from '../registry/resource.ts'
import type { Schema } from './schema.ts'

export type OpenApiForm = 'v2' | 'v3'

type Json = Record<string, unknown>

const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'
const STRING: Json = { type: 'string' }

/**
 * The definition of a kind that a CustomResourceDefinition brought. v3 has the schema as it is; v2 knows neither
 * alternatives nor nulls, and kubectl reads it badly where unknown fields are kept: there it says less.
 */
export function openApiOf(resource: Resource, form: OpenApiForm): Json {
  const { schema, group, version, kind, selectableFields } = resource
  const fields = Object.keys(selectableFields).map((fieldPath) => ({ fieldPath }))
  const about = {
    'x-kubernetes-group-version-kind': [{ group, kind, version }],
    ...(fields.length > 0 && { 'x-kubernetes-selectable-fields': fields }),
  }
  // With any property, kubectl would refuse all others.
  if (form === 'v2' && schema['x-kubernetes-preserve-unknown-fields']) return { type: 'object', ...about }
  const written = write(schema, form)
  return { ...written, properties: { ...(written['properties'] as Json), ...resourceProperties(form) }, ...about }
}

function resourceProperties(form: OpenApiForm): Json {
  return { apiVersion: STRING, kind: STRING, metadata: objectMeta(form) }
}

/** In v3 nothing may stand beside a reference. */
function objectMeta(form: OpenApiForm): Json {
  return form === 'v2'
    ? { $ref: `#/definitions/${OBJECT_META}` }
    : { allOf: [{ $ref: `#/components/schemas/${OBJECT_META}` }] }
}

/** What structural schemas have, except for their parts. */
const KEPT: ReadonlyArray<keyof Schema> = [
  'type',
  'format',
  'description',
  'title',
  'default',
  'enum',
  'required',
  'pattern',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'uniqueItems',
  'minProperties',
  'maxProperties',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
]

const NOT_IN_V2: ReadonlyArray<keyof Schema> = ['nullable', 'allOf', 'anyOf', 'oneOf', 'not']

function write(schema: Schema, form: OpenApiForm): Json {
  const written: Json = {}
  for (const key of form === 'v2' ? KEPT : [...KEPT, ...NOT_IN_V2]) {
    if (schema[key] !== undefined && schema[key] !== false) written[key] = schema[key]
  }
  const { items, properties, additionalProperties } = schema
  const opaque = form === 'v2' && (schema.nullable || schema['x-kubernetes-preserve-unknown-fields'])
  if (items && !opaque) written['items'] = write(items, form)
  if (properties && !opaque) written['properties'] = writeProperties(properties, form)
  if (additionalProperties !== undefined) {
    written['additionalProperties'] =
      typeof additionalProperties === 'object' ? write(additionalProperties, form) : additionalProperties
  }
  if (form === 'v2') withoutNulls(schema, written)
  if (!schema['x-kubernetes-embedded-resource']) return written
  return form === 'v2' && schema['x-kubernetes-preserve-unknown-fields'] ? written : embedded(written, form)
}

function writeProperties(properties: Readonly<Record<string, Schema>>, form: OpenApiForm): Json {
  return Object.fromEntries(Object.entries(properties).map(([key, property]) => [key, write(property, form)]))
}

/** What can be null has no type in v2, and is not required. */
function withoutNulls(schema: Schema, written: Json): void {
  const { type, nullable, required, properties = {}, additionalProperties } = schema
  const untyped = type === 'array' ? written['items'] === undefined : schema['x-kubernetes-preserve-unknown-fields']
  if (nullable || untyped) delete written['type']
  if (!required) return
  const nullsBelow = typeof additionalProperties === 'object' && additionalProperties.nullable
  const kept = nullsBelow
    ? []
    : required.filter(
        (key) => written['properties'] === undefined || !Object.hasOwn(properties, key) || !properties[key]?.nullable,
      )
  if (kept.length > 0) written['required'] = kept
  else delete written['required']
}

function embedded(written: Json, form: OpenApiForm): Json {
  const required = (written['required'] as readonly string[] | undefined) ?? []
  const added = ['kind', 'apiVersion'].filter((key) => !required.includes(key))
  return {
    ...written,
    properties: { ...(written['properties'] as Json | undefined), ...resourceProperties(form) },
    required: [...required, ...added],
  }
}
