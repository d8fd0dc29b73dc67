/**
 * Sets of field paths, as `metadata.managedFields` stores them (structured-merge-diff's `fieldpath.Set`).
 *
 * A path element is kept in its wire spelling: `f:name` (a field or map key), `k:{"name":"x"}` (an element of a list of
 * objects, by its keys), `v:"x"` (an element of a set). A node of the trie that is a member stands for its whole path.
 */
export interface FieldSet {
  member: boolean
  children: Map<string, FieldSet>
}

/** Of the leaves, which are nearly all nodes: a map for each is most of what a set costs. Never written to. */
const NO_CHILDREN: Map<string, FieldSet> = new Map()

export function emptySet(): FieldSet {
  return { member: false, children: NO_CHILDREN }
}

/** Within a set that is being made. */
function setChild(set: FieldSet, element: string, node: FieldSet): void {
  if (set.children === NO_CHILDREN) set.children = new Map()
  set.children.set(element, node)
}

export function isEmpty(set: FieldSet): boolean {
  return !set.member && [...set.children.values()].every(isEmpty)
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

/** What is in `a` and not in `b`; a member of `b` takes only itself away, not what lies below it. `a` itself where that is all. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  if (b.children.size === 0 && !(a.member && b.member)) return a
  const result: FieldSet = { member: a.member && !b.member, children: NO_CHILDREN }
  let same = result.member === a.member
  for (const [element, set] of a.children) {
    const other = b.children.get(element)
    const rest = other ? difference(set, other) : set
    if (rest !== set) same = false
    if (!isEmpty(rest)) setChild(result, element, rest)
  }
  return same && result.children.size === a.children.size ? a : result
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
  const entries: Array<[string, unknown]> = []
  for (const element of [...set.children.keys()].sort()) {
    const node = set.children.get(element)
    if (!node || isEmpty(node)) continue
    const below = toFieldsV1(node)
    const hasBelow = Object.keys(below).length > 0
    entries.push([element, node.member && hasBelow ? { '.': {}, ...below } : below])
  }
  return Object.fromEntries(entries)
}

/** @throws Error where it is not FieldsV1; unknown element kinds are refused, as apimachinery does. */
export function fromFieldsV1(fields: unknown): FieldSet {
  const set = parse(fields)
  set.member = false
  return set
}

function parse(fields: unknown): FieldSet {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
    throw new Error('FieldsV1 must be an object')
  const set = emptySet()
  const entries = Object.entries(fields)
  if (entries.length === 0) set.member = true
  for (const [element, below] of entries) {
    if (element === '.') {
      set.member = true
      continue
    }
    if (!/^[fkvi]:/.test(element)) throw new Error(`unknown path element ${JSON.stringify(element)} in FieldsV1`)
    setChild(set, element, parse(below))
  }
  return set
}

/** Members as paths, in order. */
export function* members(set: FieldSet, path: readonly string[] = []): Generator<readonly string[]> {
  if (set.member) yield path
  for (const element of [...set.children.keys()].sort()) {
    const node = set.children.get(element)
    if (node) yield* members(node, [...path, element])
  }
}

/** `.spec.containers[name="x"].image`, as apply conflicts are reported. */
export function formatPath(path: readonly string[]): string {
  return path
    .map((element) => {
      const value = element.slice(2)
      if (element.startsWith('f:')) return `.${value}`
      if (element.startsWith('v:')) return `[=${value}]`
      if (element.startsWith('i:')) return `[${value}]`
      const keys = JSON.parse(value) as Record<string, unknown>
      return `[${Object.entries(keys)
        .map(([key, of]) => `${key}=${JSON.stringify(of)}`)
        .join(',')}]`
    })
    .join('')
}
