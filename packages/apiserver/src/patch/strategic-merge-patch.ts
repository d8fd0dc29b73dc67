/**
 * Strategic merge patch: a merge patch that knows from the schema which lists are sets of named elements.
 *
 * Semantics are those of apimachinery's `strategicpatch`: `$patch`, `$retainKeys`, `$setElementOrder/<list>` and
 * `$deleteFromPrimitiveList/<list>` directives, merge keys and strategies from the schema.
 */

import { resolve } from '../schema/builtin.ts'
import { canonicalJson } from '../schema/canonical-json.ts'
import type { Schema } from '../schema/schema.ts'
import { StatusError } from '../status-error.ts'
import { goType, printed } from './go-printing.ts'
import { isObject, type JsonObject } from './json-value.ts'

const PATCH = '$patch'
const RETAIN_KEYS = '$retainKeys'
const ELEMENT_ORDER = '$setElementOrder/'
const DELETE_PRIMITIVES = '$deleteFromPrimitiveList/'

/**
 * The object that `patch` makes of `target`. Neither is changed; unchanged parts are shared with `target`.
 *
 * @throws StatusError BadRequest where a directive is malformed; Unknown, as Kubernetes passes such errors on, where it is
 *   none, a list element lacks its merge key, or an order is not that of the elements
 */
export function applyStrategicMergePatch(target: JsonObject, patch: JsonObject, schema: Schema): JsonObject {
  return mergeObject(target, patch, schema)
}

function mergeObject(original: JsonObject, patch: JsonObject, schema: Schema | undefined): JsonObject {
  const directive = patch[PATCH]
  if (directive === 'replace') return withoutDirectives(omit(patch, PATCH), schema)
  if (directive === 'delete') return {}
  if (directive !== undefined && directive !== 'merge') {
    throw new StatusError('Unknown', `unknown patch type: ${printed(directive)} in map: ${printed(patch)}`)
  }
  const result = new Map(Object.entries(original))
  retainKeys(result, patch)
  const ordered = applyElementOrders(result, original, patch, schema)
  for (const [key, value] of Object.entries(patch)) {
    if (key === PATCH || key === RETAIN_KEYS || key.startsWith(ELEMENT_ORDER) || ordered.has(key)) continue
    if (key.startsWith(DELETE_PRIMITIVES)) {
      deletePrimitives(result, key, value)
      continue
    }
    if (value === null) {
      result.delete(key)
      continue
    }
    const field = fieldOf(schema, key)
    const current = result.get(key)
    if (isObject(value) && (isObject(current) || current === undefined || current === null)) {
      const replaced = strategiesOf(field).has('replace') && isObject(current)
      result.set(
        key,
        // As it is, with what is null in it.
        replaced ? value : mergeObject(isObject(current) ? current : {}, value, field),
      )
    } else if (Array.isArray(value) && strategiesOf(field).has('merge') && !isPlainAddition(current, value)) {
      result.set(key, mergeList({ original: Array.isArray(current) ? current : [], patch: value, field, name: key }))
    } else {
      result.set(key, value)
    }
  }
  return toObject(result)
}

/** Where there was no list and nothing says how to merge, the new one is taken as it is, keys or none. */
function isPlainAddition(current: unknown, items: readonly unknown[]): boolean {
  return current === undefined && items.every((item) => isObject(item) && !hasDirectives(item))
}

function hasDirectives(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasDirectives)
  return isObject(value) && Object.entries(value).some(([key, part]) => key.startsWith('$') || hasDirectives(part))
}

/** `Object.fromEntries` defines own properties, so a key `__proto__` stays data. */
function toObject(entries: Map<string, unknown>): JsonObject {
  return Object.fromEntries(entries)
}

function omit(object: JsonObject, key: string): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key))
}

/** A value that replaces another may still hold directives further down: merging it into nothing carries them out. */
function withoutDirectives(value: JsonObject, schema: Schema | undefined): JsonObject {
  return mergeObject({}, value, schema)
}

function fieldOf(schema: Schema | undefined, key: string): Schema | undefined {
  if (!schema) return undefined
  const resolved = resolve(schema)
  if (resolved.properties && Object.hasOwn(resolved.properties, key)) return resolved.properties[key]
  return typeof resolved.additionalProperties === 'object' ? resolved.additionalProperties : undefined
}

function strategiesOf(field: Schema | undefined): Set<string> {
  return new Set(field?.['x-kubernetes-patch-strategy']?.split(','))
}

function retainKeys(result: Map<string, unknown>, patch: JsonObject): void {
  const keys = patch[RETAIN_KEYS]
  if (keys === undefined) return
  if (!Array.isArray(keys))
    throw new StatusError('BadRequest', `invalid patch format of ${RETAIN_KEYS}: expected a list`)
  const kept = new Set<unknown>(keys)
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith('$') && value !== null && !kept.has(key)) {
      throw new StatusError(
        'BadRequest',
        `${RETAIN_KEYS} list must contain all fields that are present in the patch: "${key}" is missing`,
      )
    }
  }
  for (const key of result.keys()) if (!kept.has(key)) result.delete(key)
}

function deletePrimitives(result: Map<string, unknown>, directive: string, values: unknown): void {
  const key = directive.slice(DELETE_PRIMITIVES.length)
  if (!Array.isArray(values))
    throw new StatusError('BadRequest', `invalid patch format of ${directive}: expected a list`)
  const current = result.get(key)
  if (!Array.isArray(current)) return
  result.set(key, without(current, values))
}

function without(list: readonly unknown[], values: readonly unknown[]): unknown[] {
  const gone = new Set(values)
  return list.filter((item) => !gone.has(item))
}

/** Carries out each `$setElementOrder/<list>` together with the patch of that list; returns the names that were done. */
function applyElementOrders(
  result: Map<string, unknown>,
  original: JsonObject,
  patch: JsonObject,
  schema: Schema | undefined,
): Set<string> {
  const done = new Set<string>()
  for (const [directive, order] of Object.entries(patch)) {
    if (!directive.startsWith(ELEMENT_ORDER)) continue
    const name = directive.slice(ELEMENT_ORDER.length)
    if (!Array.isArray(order))
      throw new StatusError('BadRequest', `invalid patch format of ${directive}: expected a list`)
    const field = fieldOf(schema, name)
    if (Array.isArray(patch[name])) refuseOtherOrder(patch[name], order, field?.['x-kubernetes-patch-merge-key'])
    const before = Array.isArray(result.get(name)) ? (result.get(name) as unknown[]) : undefined
    const change = patch[name]
    if (change === null || (before === undefined && !Array.isArray(change))) continue
    const removed = patch[DELETE_PRIMITIVES + name]
    const start = Array.isArray(removed) ? without(before ?? [], removed) : (before ?? [])
    const merged = Array.isArray(change) ? mergeList({ original: start, patch: change, field, name }) : start
    const previous = Array.isArray(original[name]) ? (original[name] as unknown[]) : []
    result.set(name, inOrder({ merged, order, previous, mergeKey: field?.['x-kubernetes-patch-merge-key'] }))
    done.add(name)
  }
  return done
}

/** What is patched has to be in the order, and in that order; deletions aside. */
function refuseOtherOrder(patch: readonly unknown[], order: readonly unknown[], mergeKey: string | undefined): void {
  if (order.length === 0) return
  const identity = (item: unknown): string =>
    mergeKey !== undefined && isObject(item) ? withKey(item, mergeKey) : identityOf(item, mergeKey)
  const plain = patch.filter((item) => !isObject(item) || item[PATCH] === undefined)
  let next = 0
  let wanted: string | undefined
  for (const each of order) {
    if (next === plain.length) break
    wanted ??= identity(plain[next])
    if (wanted !== identity(each)) continue
    next++
    wanted = undefined
  }
  if (next === plain.length) return
  throw new StatusError(
    'Unknown',
    `The order in patch list:\n${printed(patch)}\n doesn't match $setElementOrder list:\n${printed(order)}\n`,
  )
}

interface ListPatch {
  original: unknown[]
  patch: unknown[]
  field: Schema | undefined
  name: string
}

function mergeList({ original, patch, field, name }: ListPatch): unknown[] {
  const mergeKey = field?.['x-kubernetes-patch-merge-key']
  const all = [...original, ...patch]
  if (new Set(all.map(goType)).size > 1) throw otherTypes(original, patch)
  if (!all.some(isObject)) {
    const merged = [...new Set(all)]
    return inOrder({ merged, order: patch, previous: original, mergeKey: undefined })
  }
  if (mergeKey === undefined) {
    throw new StatusError(
      'BadRequest',
      `cannot merge the list "${name}": its elements are objects and it has no merge key`,
    )
  }
  const plain: JsonObject[] = []
  const deleted = new Set<string>()
  let replace = false
  for (const item of patch) {
    if (!isObject(item)) throw otherTypes(original, patch)
    const directive = item[PATCH]
    if (directive === undefined) plain.push(item)
    else if (directive === 'replace') replace = true
    else if (directive === 'delete') deleted.add(withKey(item, mergeKey))
    else
      throw new StatusError(
        'BadRequest',
        `patch directive ${JSON.stringify(directive)} cannot be used in the list "${name}"`,
      )
  }
  const items = resolve(field ?? {}).items
  if (replace) return plain.map((item) => withoutDirectives(item, items))
  const kept = original.filter((item) => !deleted.has(identityOf(item, mergeKey)))
  const merged = [...kept]
  const positions = positionsOf(merged, mergeKey)
  for (const item of plain) {
    const identity = withKey(item, mergeKey)
    const at = positions.get(identity)
    if (at === undefined) positions.set(identity, merged.push(withoutDirectives(item, items)) - 1)
    else merged[at] = mergeObject(merged[at] as JsonObject, item, items)
  }
  return inOrder({ merged, order: plain, previous: kept, mergeKey })
}

function otherTypes(...lists: unknown[][]): StatusError {
  return new StatusError('Unknown', `list element types are not identical: ${printed(lists)}`)
}

/** The identity of what is patched, which has to have one. */
function withKey(item: JsonObject, mergeKey: string): string {
  if (!Object.hasOwn(item, mergeKey)) {
    throw new StatusError('Unknown', `map: ${printed(item)} does not contain declared merge key: ${mergeKey}`)
  }
  return identityOf(item, mergeKey)
}

/** Equal texts for elements that are the same one. */
function identityOf(item: unknown, mergeKey: string | undefined): string {
  const value = mergeKey !== undefined && isObject(item) ? item[mergeKey] : item
  return value === undefined ? '' : canonicalJson(value)
}

/** Where the first element of each identity is. */
function positionsOf(list: readonly unknown[], mergeKey: string | undefined): Map<string, number> {
  const found = new Map<string, number>()
  for (const [index, item] of list.entries()) {
    const identity = identityOf(item, mergeKey)
    if (!found.has(identity)) found.set(identity, index)
  }
  return found
}

/**
 * Elements that `order` names come in its order; the others keep their places relative to them as in `previous`.
 * Two sorted runs are merged: one of the others goes first only where `previous` had it before the next named one.
 */
function inOrder({
  merged,
  order,
  previous,
  mergeKey,
}: {
  merged: unknown[]
  order: unknown[]
  previous: unknown[]
  mergeKey: string | undefined
}): unknown[] {
  const wanted = positionsOf(order, mergeKey)
  const before = positionsOf(previous, mergeKey)
  const placed = merged.map((item) => {
    const identity = identityOf(item, mergeKey)
    return { item, wanted: wanted.get(identity), before: before.get(identity) }
  })
  const last = Number.MAX_SAFE_INTEGER
  const named = placed
    .filter((each) => each.wanted !== undefined)
    .sort((a, b) => (a.wanted ?? last) - (b.wanted ?? last))
  const others = placed
    .filter((each) => each.wanted === undefined)
    .sort((a, b) => (a.before ?? last) - (b.before ?? last))
  const result: unknown[] = []
  let next = 0
  for (const each of named) {
    // A named element that is new goes before whatever is left.
    for (; next < others.length && (others[next]?.before ?? last) < (each.before ?? -1); next++)
      result.push(others[next]?.item)
    result.push(each.item)
  }
  return [...result, ...others.slice(next).map(({ item }) => item)]
}
