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
  let more = 0
  for (const key of Object.keys(a)) {
    const value = fieldOf(a, key)
    if (value === undefined) continue
    more++
    if (!sameJson(value, fieldOf(b, key))) return false
  }
  for (const key of Object.keys(b)) if (fieldOf(b, key) !== undefined) more--
  return more === 0
}

/**
 * The JSON merge patch that turns one object into another; undefined when nothing differs.
 */
export function mergePatch(current: object, wanted: object): Record<string, unknown> | undefined {
  const changes: [string, unknown][] = []
  for (const key of Object.keys(wanted)) {
    const [before, after] = [fieldOf(current, key), fieldOf(wanted, key)]
    if (after !== undefined && !sameJson(before, after)) changes.push([key, replacement(before, after)])
  }
  for (const key of Object.keys(current))
    if (fieldOf(current, key) !== undefined && fieldOf(wanted, key) === undefined) changes.push([key, null])
  return changes.length ? Object.fromEntries(changes) : undefined
}

/** What was asked for and is not in the answer, as paths: what the schema of the server has no place for. */
export function missingPaths(asked: unknown, answer: unknown, path = ''): string[] {
  if (typeof asked !== 'object' || asked === null || Array.isArray(asked)) return []
  const found = typeof answer === 'object' && answer !== null ? answer : {}
  return Object.keys(asked).flatMap((key) => {
    const [value, is] = [fieldOf(asked, key), fieldOf(found, key)]
    if (value === undefined || value === null) return []
    const here = path ? `${path}.${key}` : key
    return is === undefined ? [here] : missingPaths(value, is, here)
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

function fieldOf(value: object, key: string): unknown {
  return Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined
}

/** A status without that field of its conditions: as it is compared where the field alone is worth nothing. */
export function withoutInConditions(status: object, field: 'observedGeneration' | 'lastTransitionTime'): object {
  const { conditions } = status as { conditions?: unknown }
  if (!Array.isArray(conditions)) return status
  return { ...status, conditions: conditions.map((condition: object) => ({ ...condition, [field]: undefined })) }
}
