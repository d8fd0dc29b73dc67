/** Deep equality of JSON values; the order of an object's keys does not matter. An undefined field is as good as none. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => sameJson(item, b[index]))
    )
  }
  const left = fieldsOf(a)
  const right = fieldsOf(b)
  return (
    left.size === right.size && [...left].every(([key, value]) => right.has(key) && sameJson(value, right.get(key)))
  )
}

/**
 * The JSON merge patch that turns one object into another; undefined when nothing differs.
 */
export function mergePatch(current: object, wanted: object): Record<string, unknown> | undefined {
  const before = fieldsOf(current)
  const after = fieldsOf(wanted)
  const changes: [string, unknown][] = []
  for (const [key, value] of after)
    if (!sameJson(before.get(key), value)) changes.push([key, replacement(before.get(key), value)])
  for (const key of before.keys()) if (!after.has(key)) changes.push([key, null])
  return changes.length ? Object.fromEntries(changes) : undefined
}

/** What was asked for and is not in the answer, as paths: what the schema of the server has no place for. */
export function missingPaths(asked: unknown, answer: unknown, path = ''): string[] {
  if (typeof asked !== 'object' || asked === null || Array.isArray(asked)) return []
  const found = typeof answer === 'object' && answer !== null ? fieldsOf(answer) : new Map<string, unknown>()
  return [...fieldsOf(asked)].flatMap(([key, value]) => {
    const here = path ? `${path}.${key}` : key
    if (value === null) return []
    return found.has(key) ? missingPaths(value, found.get(key), here) : [here]
  })
}

/** A merge patch merges objects: what is to go from one has to be said. */
function replacement(before: unknown, after: unknown): unknown {
  if (!isPlain(before) || !isPlain(after)) return after
  return mergePatch(before, after)
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function fieldsOf(value: object): Map<string, unknown> {
  return new Map(Object.entries(value).filter(([, field]) => field !== undefined))
}
