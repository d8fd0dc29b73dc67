/**
 * What a schema looks like to a rule: the types of its fields, and how large their values can be, from which Kubernetes
 * estimates what a rule costs before any object exists.
 */
import type { SchemaNode } from '../node.ts'
import { nodeOf } from '../node.ts'
import type { Schema } from '../schema.ts'
import { escapeProperty } from './property-name.ts'
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listOf,
  mapOf,
  STRING,
  structOf,
  TIMESTAMP,
  type Type,
} from './types.ts'

export interface Declaration {
  readonly type: Type
  /** Items, entries or characters; 0 where size means nothing. */
  readonly maxElements: number
  /** Bytes of JSON. */
  readonly minSize: number
  readonly items: Declaration | undefined
  readonly key: Declaration | undefined
  /** By their escaped names. */
  field(name: string): Declaration | undefined
}

const MAXIMUM_REQUEST = 3 * 1024 * 1024
const MINIMUM_STRING = 2

const NAMED: Schema = { type: 'string' }
const METADATA: Schema = { type: 'object', properties: { name: NAMED, generateName: NAMED } }

/** At the root of resources, type and names can be read whatever the schema says. */
export function withObjectMeta(schema: Schema): Schema {
  const known = resources.get(schema)
  if (known) return known
  const properties = schema.properties ?? {}
  const metadata = properties['metadata']
  const complete =
    properties['kind']?.type === 'string' &&
    properties['apiVersion']?.type === 'string' &&
    metadata?.type === 'object' &&
    metadata.properties?.['name']?.type === 'string' &&
    metadata.properties['generateName']?.type === 'string'
  const result = complete
    ? schema
    : { ...schema, properties: { ...properties, kind: NAMED, apiVersion: NAMED, metadata: METADATA } }
  resources.set(schema, result)
  return result
}

const resources = new WeakMap<Schema, Schema>()

/**
 * The declaration of a node; undefined for what rules cannot see, such as fields without a type.
 *
 * @param name of the type, for messages; those of fields are made from it
 */
export function declarationOf(node: SchemaNode, isResource: boolean, name: string): Declaration | undefined {
  const { schema } = node
  if (!isVisible(schema)) return undefined
  if (schema['x-kubernetes-int-or-string']) return intOrString(schema)
  switch (schema.type) {
    case 'array':
      return listDeclaration(node, name)
    case 'object':
      if (isResource) return structDeclaration(nodeOf(withObjectMeta(schema)), name)
      return node.additional ? mapDeclaration(node, node.additional, name) : structDeclaration(node, name)
    case 'string':
      return stringDeclaration(schema)
    case 'boolean':
      return scalar(BOOL, 0, 4)
    case 'number':
      return scalar(DOUBLE, 0, 1)
    default:
      return scalar(INT, 0, 1)
  }
}

/** Lists and maps are seen where their elements are. */
function isVisible(schema: Schema): boolean {
  if (schema['x-kubernetes-int-or-string']) return true
  if (schema.type === 'array') return schema.items !== undefined && isVisible(schema.items)
  if (schema.type !== 'object') return schema.type !== undefined
  return typeof schema.additionalProperties !== 'object' || isVisible(schema.additionalProperties)
}

function scalar(type: Type, maxElements: number, minSize: number): Declaration {
  return { type, maxElements, minSize, items: undefined, key: undefined, field: () => undefined }
}

function intOrString(schema: Schema): Declaration {
  return scalar(DYN, schema.maxLength === undefined ? MAXIMUM_REQUEST - 2 : byteLength(schema.maxLength), 1)
}

/** A character takes up to four bytes. */
function byteLength(maxLength: number): number {
  return Math.max(0, maxLength) * 4
}

function stringDeclaration(schema: Schema): Declaration {
  const { format, maxLength } = schema
  switch (format) {
    case 'byte':
      return scalar(BYTES, maxLength === undefined ? MAXIMUM_REQUEST - 2 : Math.max(0, maxLength), MINIMUM_STRING)
    case 'duration':
      return scalar(DURATION, 32, 3)
    case 'date':
      return scalar(TIMESTAMP, 12, 12)
    case 'date-time':
      return scalar(TIMESTAMP, 32, 21)
    default:
      return scalar(STRING, longestString(schema), MINIMUM_STRING)
  }
}

function longestString({ maxLength, enum: values }: Schema): number {
  if (maxLength !== undefined) return byteLength(maxLength)
  if (!values?.length) return MAXIMUM_REQUEST - 2
  return Math.max(0, ...values.map((value) => (typeof value === 'string' ? Buffer.byteLength(value) : 0)))
}

function listDeclaration(node: SchemaNode, name: string): Declaration {
  const itemNode = node.items as SchemaNode
  const isResource = itemNode.schema['x-kubernetes-embedded-resource'] === true
  const items = declarationOf(itemNode, isResource, `${name}.@idx`) as Declaration
  const { maxItems } = node.schema
  return {
    type: listOf(items.type),
    maxElements:
      maxItems === undefined ? Math.floor((MAXIMUM_REQUEST - 2) / (items.minSize + 1)) : Math.max(0, maxItems),
    minSize: 2,
    items,
    key: undefined,
    field: () => undefined,
  }
}

function mapDeclaration(node: SchemaNode, valueNode: SchemaNode, name: string): Declaration {
  const isResource = valueNode.schema['x-kubernetes-embedded-resource'] === true
  const items = declarationOf(valueNode, isResource, `${name}.@elem`) as Declaration
  const { maxProperties } = node.schema
  return {
    type: mapOf(STRING, items.type),
    maxElements:
      maxProperties === undefined
        ? Math.floor((MAXIMUM_REQUEST - 2) / (items.minSize + 6))
        : Math.max(0, maxProperties),
    minSize: 2,
    items,
    key: scalar(STRING, 0, MINIMUM_STRING),
    field: () => undefined,
  }
}

function structDeclaration(node: SchemaNode, name: string): Declaration {
  const fields = new Map<string, Declaration | undefined>()
  const names = new Map<string, string>()
  for (const property of Object.keys(node.schema.properties ?? {})) {
    const escaped = escapeProperty(property)
    if (escaped !== undefined) names.set(escaped, property)
  }
  function field(escaped: string): Declaration | undefined {
    if (fields.has(escaped)) return fields.get(escaped)
    const property = names.get(escaped)
    const child = property === undefined ? undefined : node.property(property)
    const declaration =
      child && declarationOf(child, child.schema['x-kubernetes-embedded-resource'] === true, `${name}.${escaped}`)
    fields.set(escaped, declaration)
    return declaration
  }
  return {
    type: structOf(name, (escaped) => field(escaped)?.type),
    maxElements: 0,
    get minSize() {
      return smallestObject(node, field)
    },
    items: undefined,
    key: undefined,
    field,
  }
}

/** `{}` and what is required in it, unless the server fills it in. */
function smallestObject(node: SchemaNode, field: (name: string) => Declaration | undefined): number {
  let size = 2
  for (const property of new Set(node.schema.required)) {
    const child = node.property(property)
    if (!child || (child.schema.default !== undefined && child.schema.default !== null)) continue
    const escaped = escapeProperty(property)
    const declaration = escaped === undefined ? undefined : field(escaped)
    if (declaration) size += property.length + declaration.minSize + 4
  }
  return size
}
