/** The definitions that a set of operations refers to, in the form of OpenAPI v2 or v3. */
import type { Resource } from '../registry/resource.ts'
import { builtinSchema } from '../schema/builtin.ts'
import type { Schema } from '../schema/schema.ts'
import { definitionName, type Form, type Json, META, metadataReference, PREFIX, reference } from './definition-names.ts'
import { objectProperties, structuralDefinition } from './structural.ts'

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

function groupVersionKind({ group, version }: Resource, kind: string): Json[] {
  return [{ group, kind, version }]
}

function customExtensions(resource: Resource, kind: string): Json {
  const fields = Object.keys(resource.selectableFields)
  return {
    'x-kubernetes-group-version-kind': groupVersionKind(resource, kind),
    ...(fields.length > 0 && { 'x-kubernetes-selectable-fields': fields.map((fieldPath) => ({ fieldPath })) }),
  }
}

function customDefinition(form: Form, resource: Resource): Json {
  const extensions = customExtensions(resource, resource.kind)
  const schema = resource.schema
  // kubectl would refuse every field but those that are described.
  if (form === 'v2' && schema['x-kubernetes-preserve-unknown-fields']) return { type: 'object', ...extensions }
  const definition = structuralDefinition(form, schema)
  return {
    ...definition,
    properties: { ...(definition['properties'] as Json | undefined), ...objectProperties(form) },
    ...extensions,
  }
}

function listDefinition(form: Form, resource: Resource): Json {
  const { apiVersion, kind } = objectProperties(form)
  return {
    type: 'object',
    required: ['items'],
    properties: {
      apiVersion,
      kind,
      items: { type: 'array', items: reference(form, definitionName(resource, resource.kind)) },
      metadata: metadataReference(form, 'ListMeta'),
    },
    ...customExtensions(resource, resource.listKind),
  }
}
