/**
 * Finds, for a part of a new value, the same part of the value that it replaces: by field name, by key in maps and in
 * lists of type map. Items of other lists have no counterpart. What is wrong but has not changed is forgiven (Kubernetes
 * calls it ratcheting), and transition rules compare the two.
 */
import { deepEqual, isObject, type JsonObject } from '../patch/json-value.ts'
import { nodeOf, type SchemaNode } from './node.ts'
import type { Schema } from './schema.ts'

export interface Correlation {
  /** The current value. */
  readonly value: unknown
  readonly node: SchemaNode
}

export function correlate(schema: Schema, current: unknown): Correlation {
  return { value: current, node: nodeOf(schema) }
}

/** The counterpart of a member; undefined where there is none. */
export function correlatedMember(of: Correlation | undefined, key: string): Correlation | undefined {
  if (!of || !isObject(of.value) || !Object.hasOwn(of.value, key)) return undefined
  const node = of.node.member(key)
  return node && { value: of.value[key], node }
}

/** Looks up counterparts of the items of a list. */
export function correlatedItems(of: Correlation | undefined): (item: unknown) => Correlation | undefined {
  const node = of?.node.items
  const keys = of?.node.schema['x-kubernetes-list-map-keys'] ?? []
  if (!of || !node || of.node.schema['x-kubernetes-list-type'] !== 'map' || !Array.isArray(of.value)) return none
  const byKey = new Map<string, Correlation>()
  for (const value of of.value) {
    const key = keyOf(value, keys)
    if (key !== undefined && !byKey.has(key)) byKey.set(key, { value, node })
  }
  return (item) => {
    const key = keyOf(item, keys)
    return key === undefined ? undefined : byKey.get(key)
  }
}

function none(): undefined {
  return undefined
}

/** Items without a scalar for each key cannot be told apart. */
function keyOf(item: unknown, keys: readonly string[]): string | undefined {
  if (!isObject(item) || keys.length === 0) return undefined
  const values: unknown[] = []
  for (const key of keys) {
    const value = Object.hasOwn(item, key) ? item[key] : undefined
    if (typeof value === 'object' || value === undefined) return undefined
    values.push(value)
  }
  return JSON.stringify(values)
}

/** Whether `value` is what it was. Members that no schema describes cannot be compared, and count as changed. */
export function isUnchanged(of: Correlation | undefined, value: unknown): boolean {
  if (!of) return false
  const current = of.value
  if (Array.isArray(value)) return Array.isArray(current) && isListUnchanged(of, current, value)
  if (!isObject(value) || !isObject(current)) return value === current
  const keys = Object.keys(value)
  return (
    keys.length === Object.keys(current).length &&
    keys.every((key) => isUnchanged(correlatedMember(of, key), (value as JsonObject)[key]))
  )
}

function isListUnchanged(of: Correlation, current: readonly unknown[], value: readonly unknown[]): boolean {
  if (current.length !== value.length) return false
  if (of.node.schema['x-kubernetes-list-type'] !== 'map') return deepEqual(current, value)
  const find = correlatedItems(of)
  return value.every((item) => isUnchanged(find(item), item))
}
