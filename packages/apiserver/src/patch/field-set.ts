/**
 * Sets of field paths, as `metadata.managedFields` stores them (structured-merge-diff's `fieldpath.Set`).
 *
 * A path element is kept in its wire spelling: `f:name` (a field or map key), `k:{"name":"x"}` (an element of a list of
 * objects, by its keys), `v:"x"` (an element of a set). A node of the trie that is a member stands for its whole path.
 */
import { LONGEST_PATH } from '../shown-path.ts'
import { createRecentCache } from '../storage/recent-cache.ts'
import { isShared } from '../storage/share.ts'

export interface FieldSet {
  member: boolean
  children: Map<string, FieldSet>
}

/** Of the leaves, which are nearly all nodes: a map for each is most of what a set costs. Never written to. */
const NO_CHILDREN: Map<string, FieldSet> = new Map()

/** What nothing lies below. */
const LEAF: FieldSet = Object.freeze({ member: true, children: NO_CHILDREN })

export function emptySet(): FieldSet {
  return { member: false, children: NO_CHILDREN }
}

/** Within a set that is being made. */
export function setChild(set: FieldSet, element: string, node: FieldSet): void {
  if (set.children === NO_CHILDREN) set.children = new Map()
  set.children.set(element, node)
}

export function isEmpty(set: FieldSet): boolean {
  if (set.member) return false
  for (const below of set.children.values()) if (!isEmpty(below)) return false
  return true
}

/** The node for one more path element, made where it is missing. */
export function child(set: FieldSet, element: string): FieldSet {
  let found = set.children.get(element)
  if (!found) {
    found = emptySet()
    setChild(set, element, found)
  }
  return found
}

/** What is in either. `a` itself where `b` adds nothing. */
export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (a.children.size === 0 && (b.member || !a.member)) return b.children.size === 0 && a.member === b.member ? a : b
  let children: Map<string, FieldSet> | undefined
  for (const [element, set] of b.children) {
    const other = a.children.get(element)
    const both = other ? union(other, set) : set
    if (both === other) continue
    children ??= new Map(a.children)
    children.set(element, both)
  }
  const member = a.member || b.member
  return children || member !== a.member ? { member, children: children ?? a.children } : a
}

/** What is in any of them. One after the other, each would be joined with a copy of all that came before it. */
export function unionOfAll(sets: readonly FieldSet[]): FieldSet {
  const [a, b] = sets
  if (!a) return emptySet()
  if (!b) return a
  if (sets.length === 2) return union(a, b)
  const below = new Map<string, FieldSet[]>()
  for (const { children } of sets) {
    for (const [element, set] of children) {
      const others = below.get(element)
      if (others) others.push(set)
      else below.set(element, [set])
    }
  }
  const member = sets.some((set) => set.member)
  if (below.size === 0) return member ? LEAF : emptySet()
  return { member, children: new Map([...below].map(([element, each]) => [element, unionOfAll(each)])) }
}

/** What is in `a` and not in `b`; a member of `b` takes only itself away, not what lies below it. `a` itself where that is all. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  let children: Map<string, FieldSet> | undefined
  // By the smaller one: most of a large object is not what a write is about.
  for (const element of (a.children.size < b.children.size ? a : b).children.keys()) {
    const set = a.children.get(element)
    const other = b.children.get(element)
    if (!set || !other) continue
    const rest = difference(set, other)
    if (rest === set) continue
    children ??= new Map(a.children)
    if (isEmpty(rest)) children.delete(element)
    else children.set(element, rest)
  }
  const member = a.member && !b.member
  return children || member !== a.member ? { member, children: children ?? a.children } : a
}

/** What is in `a` and neither in `b` nor below a member of `b`. */
export function differenceBelow(a: FieldSet, b: FieldSet): FieldSet {
  if (b.member) return emptySet()
  const result: FieldSet = { member: a.member, children: NO_CHILDREN }
  for (const [element, set] of a.children) {
    const other = b.children.get(element)
    const rest = other ? differenceBelow(set, other) : set
    if (!isEmpty(rest)) setChild(result, element, rest)
  }
  return result
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const result: FieldSet = { member: a.member && b.member, children: NO_CHILDREN }
  for (const [element, set] of a.children) {
    const other = b.children.get(element)
    if (!other) continue
    const both = intersection(set, other)
    if (!isEmpty(both)) setChild(result, element, both)
  }
  return result
}

/** A set of paths, each given as its elements. */
export function setOf(...paths: ReadonlyArray<readonly string[]>): FieldSet {
  const set = emptySet()
  for (const path of paths) {
    let node = set
    for (const element of path) node = child(node, element)
    node.member = true
  }
  return set
}

/** FieldsV1. A member that has members below it is written with a `.` of its own; elements are sorted. */
export function toFieldsV1(set: FieldSet): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  const elements = [...set.children.keys()]
  if (elements.length > 1) elements.sort()
  for (const element of elements) {
    const node = set.children.get(element) as FieldSet
    if (!isEmpty(node)) fields[element] = sources.get(node) ?? written(node)
  }
  return fields
}

function written(node: FieldSet): Record<string, unknown> {
  const below = toFieldsV1(node)
  return node.member && Object.keys(below).length > 0 ? { '.': {}, ...below } : below
}

// What the store shares between objects (`internManagedFields`) is read and written once for all of them.
const sharedSets = new WeakMap<object, FieldSet>()
/** What such a set was read from, where it is what would be written. */
const sources = new WeakMap<FieldSet, Record<string, unknown>>()

/** Those of large objects, each of which takes longer to read than all else that a small patch of it does. */
const largeSets = createRecentCache<FieldSet>(300_000)
const LARGE = 500

function sizeOf({ children }: FieldSet): number {
  let size = 1
  for (const below of children.values()) size += sizeOf(below)
  return size
}

/** @throws Error where it is not FieldsV1; unknown element kinds are refused, as apimachinery does. */
export function fromFieldsV1(fields: object): FieldSet {
  const known = largeSets.get(fields)
  if (known) return known
  const set = readFieldsV1(fields)
  if (!Object.isFrozen(fields)) return set
  const size = sizeOf(set)
  if (size >= LARGE) largeSets.set(fields, set, size)
  return set
}

function readFieldsV1(fields: object): FieldSet {
  const set = parse(fields, (below, element) =>
    element === 'f:metadata' ? parse(below, parseShared) : parseShared(below),
  )
  return set.member ? { member: false, children: set.children } : set
}

function parseShared(fields: unknown): FieldSet {
  if (!isShared(fields)) return parse(fields)
  let set = sharedSets.get(fields)
  if (!set) {
    set = parse(fields)
    sharedSets.set(fields, set)
    // A client may have given it in another order.
    if (JSON.stringify(written(set)) === JSON.stringify(fields)) sources.set(set, fields)
  }
  return set
}

function parse(fields: unknown, parseMember: (below: unknown, element: string) => FieldSet = parseAll): FieldSet {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
    throw new Error('FieldsV1 must be an object')
  const entries = Object.entries(fields)
  if (entries.length === 0) return LEAF
  const set = emptySet()
  for (const [element, below] of entries) {
    if (element === '.') {
      set.member = true
      continue
    }
    if (!/^[fkvi]:/.test(element)) throw new Error(`unknown path element ${JSON.stringify(element)} in FieldsV1`)
    setChild(set, element, parseMember(below, element))
  }
  return set
}

function parseAll(fields: unknown): FieldSet {
  return parse(fields)
}

/** Members as paths, in order. */
export function* members(set: FieldSet, path: readonly string[] = []): Generator<readonly string[]> {
  if (set.member) yield path
  for (const element of [...set.children.keys()].sort()) {
    const node = set.children.get(element)
    if (node) yield* members(node, [...path, element])
  }
}

/**
 * `.spec.containers[name="x"].image`, as apply conflicts are reported; no more of it than is shown, since thousands may have
 * a beginning in common that is as long as a body.
 */
export function formatPath(path: readonly string[]): string {
  const parts: string[] = []
  let left = LONGEST_PATH
  for (const element of path) {
    if (element.length > left) {
      // What is cut says no more of itself than that it is a field, or none.
      parts.push(element.startsWith('f:') ? '.' : '[', element.slice(2, left), '…')
      break
    }
    const part = formatElement(element)
    parts.push(part)
    left -= part.length
  }
  return parts.join('')
}

function formatElement(element: string): string {
  const value = element.slice(2)
  if (element.startsWith('f:')) return `.${value}`
  if (element.startsWith('v:')) return `[=${value}]`
  if (element.startsWith('i:')) return `[${value}]`
  const keys = JSON.parse(value) as Record<string, unknown>
  return `[${Object.entries(keys)
    .map(([key, of]) => `${key}=${JSON.stringify(of)}`)
    .join(',')}]`
}
