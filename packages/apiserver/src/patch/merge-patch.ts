/** JSON Merge Patch (RFC 7396). */

/**
 * What `patch` makes of `target`. Neither is changed; the result shares with `target` what the patch does not touch, and
 * nothing with `patch`.
 */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return copyWithoutNulls(patch)
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {}
  for (const key of Object.keys(patch)) {
    const value = patch[key]
    if (value === null) delete result[key]
    else define(result, key, applyMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value))
  }
  return result
}

function copyWithoutNulls(value: unknown): unknown {
  // Nulls inside of lists are values like any other; only members of objects are removed by them.
  if (Array.isArray(value))
    return value.map((item) => (isObject(item) ? applyMergePatch({}, item) : copyWithoutNulls(item)))
  return value
}

/** Assignment that a key called `__proto__` cannot turn into a change of prototype. */
export function define(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
