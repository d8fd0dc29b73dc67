/** The definitions that a set of operations refers to, in the form of OpenAPI v2 or v3. */
import type { Resource } from '../registry/resource.ts'
import { builtinSchema } from '../schema/builtin.ts'
import type { Schema } from '../schema/schema.ts'
import { definitionName, META } from './definition-names.ts'

export type Form = 'v2' | 'v3'
type Json = Record<string, unknown>

const PREFIX: Readonly<Record<Form, string>> = { v2: '#/definitions/', v3: '#/components/schemas/' }

export function reference(form: Form, name: string): { $ref: string } {
  return { $ref: `${PREFIX[form]}${name}` }
}

export interface Definitions {
  /** Makes sure that the definition and all that it refers to are there. */
  need(name: string): void
  /** Sorted by name. */
  all(): Record<string, Json>
}

/** Collects definitions: those of `custom` resources from their own schemas, the rest from the built-in ones. */
export function collectDefinitions(form: Form, resources: readonly Resource[]): Definitions {
  const found = new Map<string, Json>()
  const custom = new Map<string, () => Json>()
  for (const resource of resources) {
    if (!resource.custom) continue
    custom.set(definitionName(resource, resource.kind), () => customDefinition(form, resource))
    custom.set(definitionName(resource, resource.listKind), () => listDefinition(form, resource))
  }
  function need(name: string): void {
    if (found.has(name)) return
    // Taken first: definitions may refer to themselves.
    found.set(name, {})
    const own = custom.get(name)
    const definition = own ? own() : nativeForm(form, builtinSchema(name), name)
    found.set(name, definition)
    for (const other of referencesIn(definition, PREFIX[form])) need(other)
  }
  return {
    need,
    all: () => Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1))),
  }
}

function* referencesIn(value: unknown, prefix: string): Iterable<string> {
  if (typeof value !== 'object' || value === null) return
  for (const [key, member] of Object.entries(value)) {
    if (key === '$ref' && typeof member === 'string') yield member.slice(prefix.length)
    else yield* referencesIn(member, prefix)
  }
}

/** A built-in definition: without what only the decoder needs, with references as the form writes them. */
function nativeForm(form: Form, schema: Schema, name?: string): Json {
  const { $ref, properties, items, additionalProperties, 'x-go': _go, ...rest } = schema as Schema & { 'x-go'?: string }
  const written: Json = { ...rest }
  if (form === 'v2') {
    delete written['default']
    const scalars = written['oneOf'] as Json[] | undefined
    if (scalars) {
      // Swagger 2 has no alternatives.
      delete written['oneOf']
      written['type'] = 'string'
    }
  }
  if ($ref !== undefined) {
    // In v3 nothing may stand beside a reference.
    if (form === 'v3' && Object.keys(written).length) written['allOf'] = [reference(form, $ref)]
    else Object.assign(written, reference(form, $ref))
  }
  if (items) written['items'] = nativeForm(form, items)
  if (typeof additionalProperties === 'object') {
    written['additionalProperties'] = nativeForm(form, additionalProperties)
  }
  if (properties) {
    written['properties'] = Object.fromEntries(
      Object.entries(properties).map(([key, property]) => [key, nativeForm(form, property)]),
    )
  }
  if (name === `${META}.JSONSchemaProps`) delete written['required']
  return written
}

const TYPE_META: Readonly<Record<string, Json>> = { apiVersion: { type: 'string' }, kind: { type: 'string' } }

function groupVersionKind({ group, version }: Resource, kind: string): Json[] {
  return [{ group, kind, version }]
}

function metadataReference(form: Form, kind: 'ObjectMeta' | 'ListMeta'): Json {
  const target = reference(form, `${META}.${kind}`)
  return form === 'v3' ? { allOf: [target] } : target
}

function customDefinition(form: Form, resource: Resource): Json {
  const schema = (form === 'v3' ? resource.schema : toSwagger(resource.schema)) as Json
  const properties = { ...(schema['properties'] as Json | undefined) }
  if (schema['x-kubernetes-preserve-unknown-fields'] && !Object.keys(properties).length && form === 'v2') {
    return { type: 'object', 'x-kubernetes-group-version-kind': groupVersionKind(resource, resource.kind) }
  }
  return {
    ...schema,
    type: 'object',
    properties: { ...properties, ...TYPE_META, metadata: metadataReference(form, 'ObjectMeta') },
    'x-kubernetes-group-version-kind': groupVersionKind(resource, resource.kind),
  }
}

function listDefinition(form: Form, resource: Resource): Json {
  return {
    type: 'object',
    required: ['items'],
    properties: {
      ...TYPE_META,
      items: { type: 'array', items: reference(form, definitionName(resource, resource.kind)) },
      metadata: metadataReference(form, 'ListMeta'),
    },
    'x-kubernetes-group-version-kind': groupVersionKind(resource, resource.listKind),
  }
}

const NOT_IN_SWAGGER = ['anyOf', 'oneOf', 'allOf', 'not', 'nullable', 'default']

/** A structural schema without what Swagger 2 has no words for. */
function toSwagger(schema: Schema): Json {
  const written: Json = { ...schema }
  for (const key of NOT_IN_SWAGGER) delete written[key]
  // A value that may be null, or that is kept whatever it holds, has no type in Swagger 2.
  if (schema.nullable) for (const key of ['type', 'items', 'properties']) delete written[key]
  if (schema['x-kubernetes-preserve-unknown-fields'] || schema['x-kubernetes-int-or-string']) {
    for (const key of ['type', 'items', 'properties', 'required', 'additionalProperties']) delete written[key]
    return written
  }
  if (schema.items && !schema.nullable) written['items'] = toSwagger(schema.items)
  if (typeof schema.additionalProperties === 'object') {
    written['additionalProperties'] = toSwagger(schema.additionalProperties)
  }
  if (schema.properties && !schema.nullable) {
    written['properties'] = Object.fromEntries(
      Object.entries(schema.properties).map(([key, property]) => [key, toSwagger(property)]),
    )
  }
  return written
}
