/**
 * One node of a schema, prepared for the passes that every write makes over every object (pruning, defaulting,
 * validation, rules). Nodes are made when a value first reaches them: most of an inlined PodSpec is never visited.
 */
import { resolve } from './builtin.ts'
import type { Schema } from './schema.ts'

export interface SchemaNode {
  /** With `$ref` followed. */
  readonly schema: Schema
  readonly items: SchemaNode | undefined
  /** Of `additionalProperties`, where it is a schema. */
  readonly additional: SchemaNode | undefined
  /** The declared property, never one of Object's prototype. */
  property(key: string): SchemaNode | undefined
  /** What a member of that name has to follow: the declared property, else `additional`. */
  member(key: string): SchemaNode | undefined
  /** Declared properties that have a default. */
  readonly defaulted: readonly string[]
  /** A private copy of `default`; undefined where there is none. A default of null is none. */
  defaultValue(): unknown
}

const nodes = new WeakMap<Schema, SchemaNode>()

export function nodeOf(schema: Schema): SchemaNode {
  let node = nodes.get(schema)
  if (!node) {
    node = makeNode(resolve(schema))
    nodes.set(schema, node)
  }
  return node
}

function makeNode(schema: Schema): SchemaNode {
  const { properties, additionalProperties, items } = schema
  const children = new Map<string, SchemaNode | undefined>()
  const additional = typeof additionalProperties === 'object' ? additionalProperties : undefined
  let defaulted: readonly string[] | undefined
  let text: string | undefined
  return {
    schema,
    get items() {
      return items && nodeOf(items)
    },
    get additional() {
      return additional && nodeOf(additional)
    },
    property(key) {
      const found = children.get(key)
      if (found !== undefined || properties === undefined || !Object.hasOwn(properties, key)) return found
      const child = nodeOf(properties[key] as Schema)
      children.set(key, child)
      return child
    },
    member(key) {
      return this.property(key) ?? (additional && nodeOf(additional))
    },
    get defaulted() {
      defaulted ??= Object.keys(properties ?? {}).filter((key) => hasDefault((properties as Properties)[key] as Schema))
      return defaulted
    },
    defaultValue() {
      const value = schema.default
      if (typeof value !== 'object' || value === null) return value ?? undefined
      text ??= JSON.stringify(value)
      return JSON.parse(text)
    },
  }
}

type Properties = Readonly<Record<string, Schema>>

function hasDefault(schema: Schema): boolean {
  const value = schema.default ?? (schema.$ref === undefined ? undefined : resolve(schema).default)
  return value !== undefined && value !== null
}
