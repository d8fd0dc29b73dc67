/**
 * Values seen through their schema, as server-side apply sees them: which objects are merged by field, which lists are
 * sets or maps by key, and which are atomic. Follows structured-merge-diff's `typed` package.
 */

import { builtinSchema, resolve } from '../schema/builtin.ts'
import { OBJECT_META } from '../schema/embedded-resource.ts'
import type { Schema } from '../schema/schema.ts'
import { child, emptySet, type FieldSet, setChild } from './field-set.ts'
import { deepEqual, isObject, type JsonObject } from './json-value.ts'

type Shape =
  | { kind: 'atomic' }
  | { kind: 'map'; schema: Schema | undefined }
  | { kind: 'list'; items: Map<string, unknown>; schema: Schema | undefined }

/** Any object, of which nothing is known: a ControllerRevision's data. */
export const RAW_EXTENSION = 'io.k8s.apimachinery.pkg.runtime.RawExtension'

const withMeta = new WeakMap<Schema, Schema>()

/** A custom resource's own schema says little of metadata: its lists merge as every kind's do. */
export function withObjectMeta(schema: Schema): Schema {
  const resolved = resolve(schema)
  let found = withMeta.get(resolved)
  if (!found) {
    const metadata: Schema = { ...builtinSchema(OBJECT_META), default: {} }
    const typeMeta: Schema = { type: 'string' }
    found = { ...resolved, properties: { ...resolved.properties, apiVersion: typeMeta, kind: typeMeta, metadata } }
    withMeta.set(resolved, found)
  }
  return found
}

/** The schema itself, behind its reference; a resource inside of another has metadata whatever its schema says. */
export function opened(schema: Schema): Schema {
  const resolved = resolve(schema)
  return resolved['x-kubernetes-embedded-resource'] ? withObjectMeta(resolved) : resolved
}

/** Elements of one list that have the same key: owned as one, whatever is in them. */
class Repeated {
  readonly values: unknown[]
  constructor(...values: unknown[]) {
    this.values = values
  }
}

/** How `value` takes part in merging. A list whose elements lack their keys or repeat them is atomic. */
function shapeOf(value: unknown, schema: Schema | undefined): Shape {
  const shape = ownedShapeOf(value, schema)
  const repeats = shape.kind === 'list' && [...shape.items.values()].some((item) => item instanceof Repeated)
  return repeats ? { kind: 'atomic' } : shape
}

/** How `value` is owned: what merging does not tell apart is a member all the same. */
function ownedShapeOf(value: unknown, schema: Schema | undefined): Shape {
  if (schema?.$ref === RAW_EXTENSION) return { kind: 'atomic' }
  const resolved = schema && opened(schema)
  if (isObject(value)) {
    return resolved?.['x-kubernetes-map-type'] === 'atomic' ? { kind: 'atomic' } : { kind: 'map', schema: resolved }
  }
  if (!Array.isArray(value)) return { kind: 'atomic' }
  const listType = resolved?.['x-kubernetes-list-type']
  if (listType !== 'map' && listType !== 'set') return { kind: 'atomic' }
  const items = new Map<string, unknown>()
  for (const item of value) {
    const element = listType === 'set' ? `v:${JSON.stringify(item)}` : keyElement(item, resolved)
    if (element === undefined) return { kind: 'atomic' }
    const before = items.get(element)
    if (before instanceof Repeated) before.values.push(item)
    else items.set(element, items.has(element) ? new Repeated(before, item) : item)
  }
  return { kind: 'list', items, schema: resolved?.items }
}

/** `k:{"containerPort":80,"protocol":"TCP"}`: keys sorted, a missing one filled from its schema default. */
export function keyElement(item: unknown, list: Schema | undefined): string | undefined {
  const names = list?.['x-kubernetes-list-map-keys']
  if (!isObject(item) || !names) return undefined
  const properties = list.items ? resolve(list.items).properties : undefined
  const keys: JsonObject = {}
  for (const name of [...names].sort()) {
    const value = Object.hasOwn(item, name) ? item[name] : properties?.[name]?.default
    if (value === undefined) continue
    keys[name] = value
  }
  return Object.keys(keys).length === 0 ? undefined : `k:${JSON.stringify(keys)}`
}

export function declared(schema: Schema | undefined, key: string): boolean {
  return schema?.properties !== undefined && Object.hasOwn(schema.properties, key)
}

function fieldSchema(schema: Schema | undefined, key: string): Schema | undefined {
  if (declared(schema, key)) return schema?.properties?.[key]
  return typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined
}

/** Every field that `value` states: what an applier of it owns. */
export function fieldsOf(value: unknown, schema: Schema | undefined): FieldSet {
  const set = emptySet()
  collect(value, schema, set)
  set.member = false
  return set
}

function collect(value: unknown, schema: Schema | undefined, into: FieldSet): void {
  if (value instanceof Repeated) return
  const shape = ownedShapeOf(value, schema)
  if (shape.kind === 'atomic') {
    into.member = true
  } else if (shape.kind === 'map') {
    for (const [key, field] of Object.entries(value as JsonObject)) {
      const node = child(into, `f:${key}`)
      collect(field, fieldSchema(shape.schema, key), node)
      if (field === null || !declared(shape.schema, key) || (isObject(field) && Object.keys(field).length === 0))
        node.member = true
    }
  } else {
    for (const [element, item] of shape.items) {
      const node = child(into, element)
      collect(item, shape.schema, node)
      node.member = true
    }
  }
}

export interface Comparison {
  added: FieldSet
  modified: FieldSet
  removed: FieldSet
}

/** What changed from `before` to `after`. Containers that came or went count as well as what is in them. */
export function compare(before: unknown, after: unknown, schema: Schema | undefined): Comparison {
  const result = noChange()
  compareAt(before, after, { schema, result })
  return result
}

function compareAt(
  before: unknown,
  after: unknown,
  { schema, result }: { schema: Schema | undefined; result: Comparison },
): void {
  if (before === after) return
  if (before === undefined) return mark(after, { schema, into: result.added })
  if (after === undefined) return mark(before, { schema, into: result.removed })
  if (before instanceof Repeated && after instanceof Repeated) {
    result.modified.member ||= !deepEqual(before.values, after.values)
    return
  }
  if (before instanceof Repeated || after instanceof Repeated) {
    mark(after, { schema, into: result.added })
    mark(before, { schema, into: result.removed })
    return
  }
  const b = ownedShapeOf(after, schema)
  // A null that a container takes the place of is that container, empty: Go writes both alike.
  const empty = before === null && b.kind !== 'atomic' ? (b.kind === 'map' ? {} : []) : before
  const a = ownedShapeOf(empty, schema)
  if (a.kind === 'map' && b.kind === 'map') {
    const left = empty as JsonObject
    const right = after as JsonObject
    let shared = 0
    for (const key of Object.keys(right)) {
      const [was, is] = [own(left, key), right[key]]
      if (was !== undefined) shared++
      // Most of a large object: not even a place to write a change down is made for it.
      if (!isSame(was, is)) compareMembers(was, is, { schema: fieldSchema(b.schema, key), result, element: `f:${key}` })
    }
    const keys = Object.keys(left)
    if (keys.length === shared) return
    for (const key of keys)
      if (!Object.hasOwn(right, key))
        compareMembers(left[key], undefined, { schema: fieldSchema(b.schema, key), result, element: `f:${key}` })
  } else if (a.kind === 'list' && b.kind === 'list') {
    for (const element of new Set([...a.items.keys(), ...b.items.keys()])) {
      const [was, is] = [a.items.get(element), b.items.get(element)]
      if (!isSame(was, is)) compareMembers(was, is, { schema: b.schema, result, element })
    }
  } else if (!deepEqual(empty, after)) {
    result.modified.member = true
  }
}

/** What has members by name is compared member by member anyway: to compare it as a whole first would look at all of it at each level. */
function isSame(was: unknown, is: unknown): boolean {
  if (was === is) return true
  if (was instanceof Repeated || is instanceof Repeated || (isObject(was) && isObject(is))) return false
  return deepEqual(was, is)
}

/** A place is made only where something is written down. */
function compareMembers(
  was: unknown,
  is: unknown,
  { schema, result, element }: { schema: Schema | undefined; result: Comparison; element: string },
): void {
  if (was === undefined && is !== undefined) mark(is, { schema, into: child(result.added, element) })
  else if (is === undefined && was !== undefined) mark(was, { schema, into: child(result.removed, element) })
  else {
    const change = noChange()
    compareAt(was, is, { schema, result: change })
    for (const kind of ['added', 'modified', 'removed'] as const)
      if (change[kind].member || change[kind].children.size > 0) setChild(result[kind], element, change[kind])
  }
}

function noChange(): Comparison {
  return { added: emptySet(), modified: emptySet(), removed: emptySet() }
}

function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

interface Marking {
  schema: Schema | undefined
  into: FieldSet
}

/** Marks a whole value that came or went: each leaf and each container. */
function mark(value: unknown, { schema, into }: Marking): void {
  into.member = true
  if (value instanceof Repeated) return
  const shape = ownedShapeOf(value, schema)
  if (shape.kind === 'map') {
    for (const [key, field] of Object.entries(value as JsonObject))
      mark(field, { schema: fieldSchema(shape.schema, key), into: child(into, `f:${key}`) })
  } else if (shape.kind === 'list') {
    for (const [element, item] of shape.items) mark(item, { schema: shape.schema, into: child(into, element) })
  }
}

/**
 * `live` with `applied` laid over it: objects by field, keyed lists by key, all else replaced. A null replaces leaves
 * only: to structured-merge-diff it is an object or a list without members where there is one already.
 */
export function merge(live: unknown, applied: unknown, schema: Schema | undefined): unknown {
  if (applied === undefined) return live
  if (live === undefined || live === null) return applied
  const a = shapeOf(live, schema)
  if (applied === null) {
    const hasMembers = (a.kind === 'map' && Object.keys(live).length > 0) || (a.kind === 'list' && a.items.size > 0)
    return hasMembers ? live : null
  }
  const b = shapeOf(applied, schema)
  if (a.kind === 'map' && b.kind === 'map') {
    const result = new Map(Object.entries(live as JsonObject))
    for (const [key, value] of Object.entries(applied as JsonObject)) {
      result.set(key, merge(result.get(key), value, fieldSchema(b.schema, key)))
    }
    return Object.fromEntries(result)
  }
  if (a.kind === 'list' && b.kind === 'list') return mergeItems(a.items, b.items, b.schema)
  return applied
}

/**
 * Both lists walked at once: what only `live` has keeps its place and comes first where both could; what is applied
 * comes in its own order.
 */
function mergeItems(live: Map<string, unknown>, applied: Map<string, unknown>, schema: Schema | undefined): unknown[] {
  const result: unknown[] = []
  const left = [...live.keys()]
  const right = [...applied.keys()]
  const shared = right.filter((element) => live.has(element))
  const merged = new Set<string>()
  let nextShared = 0
  let l = 0
  let r = 0
  const take = (element: string): void => {
    merged.add(element)
    result.push(merge(live.get(element), applied.get(element), schema))
    if (shared[nextShared] === element) nextShared++
  }
  while (l < left.length || r < right.length) {
    const ours = left[l]
    const theirs = right[r]
    if (ours !== undefined && ours === theirs) {
      take(ours)
      l++
      r++
      continue
    }
    if (ours !== undefined) {
      // An element of both that is not the next one in the applied order waits for its turn there.
      if (
        theirs !== undefined &&
        applied.has(ours) &&
        shared[nextShared] !== undefined &&
        shared[nextShared] !== ours
      ) {
        l++
        continue
      }
      if (!applied.has(ours)) {
        result.push(live.get(ours))
        l++
        continue
      }
      if (merged.has(ours)) l++
    }
    if (theirs !== undefined) {
      take(theirs)
      r++
    }
  }
  return result
}

/**
 * Takes out of `value` what `gone` names and `kept` does not: a member, or a named field all of whose stated parts are
 * gone, goes whole with whatever nobody owns below it; where somebody still owns a part, only the rest is looked at.
 */
export function remove(value: unknown, sets: { gone: FieldSet; kept: FieldSet }, schema: Schema | undefined): unknown {
  const shape = shapeOf(value, schema)
  if (shape.kind === 'atomic') return value
  const goes = (element: string): boolean =>
    sets.gone.children.has(element) && !ownedBelow(sets.kept.children.get(element))
  const rest = (element: string, item: unknown, itemSchema: Schema | undefined): unknown => {
    const gone = sets.gone.children.get(element)
    return gone ? remove(item, { gone, kept: sets.kept.children.get(element) ?? emptySet() }, itemSchema) : item
  }
  if (shape.kind === 'map') {
    const entries = Object.entries(value as JsonObject).filter(([key]) => !goes(`f:${key}`))
    return Object.fromEntries(
      entries.map(([key, field]) => [key, rest(`f:${key}`, field, fieldSchema(shape.schema, key))]),
    )
  }
  const keys = new Set(resolve(schema ?? {})['x-kubernetes-list-map-keys'])
  return [...shape.items]
    .filter(([element]) => !goes(element))
    .map(([element, item]) => {
      const left = rest(element, item, shape.schema)
      // An element that stays keeps the keys that it is known by, whoever stated them.
      return isObject(item) && isObject(left) ? { ...pick(item, keys), ...left } : left
    })
}

function pick(object: JsonObject, keys: ReadonlySet<string>): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => keys.has(key)))
}

function ownedBelow(set: FieldSet | undefined): boolean {
  return set !== undefined && (set.member || [...set.children.values()].some(ownedBelow))
}
