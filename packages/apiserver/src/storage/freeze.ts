/** Frozen JSON values: what the store holds and shares, and the private copies that change on the way to it. */

/** Freezes all the way down. What is frozen already is taken to be so all the way down, and not walked again. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  if (Array.isArray(value)) for (const item of value) deepFreeze(item)
  else for (const key in value) deepFreeze(value[key])
  return Object.freeze(value)
}

/** A private copy of a JSON value that may be changed at any depth. Members that are undefined are left out, as in JSON. */
export function deepCopy<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(deepCopy) as T
  const copy: Record<string, unknown> = {}
  for (const key in value) {
    if (value[key] === undefined) continue
    // A valid key of a ConfigMap; assigned, it would replace the prototype instead.
    if (key === '__proto__')
      Object.defineProperty(copy, key, {
        value: deepCopy(value[key]),
        enumerable: true,
        configurable: true,
        writable: true,
      })
    else copy[key] = deepCopy(value[key])
  }
  return copy as T
}

/** Whether two JSON values are equal; the order of keys does not count, a key with the value undefined is absent. */
export function deepEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false
    for (let index = 0; index < a.length; index++) if (!deepEqual(a[index], b[index])) return false
    return true
  }
  if (Array.isArray(b)) return false
  const left = a as Record<string, unknown>
  const right = b as Record<string, unknown>
  let count = 0
  for (const key in left) {
    if (left[key] === undefined) continue
    count++
    if (!Object.hasOwn(right, key) || !deepEqual(left[key], right[key])) return false
  }
  const keys = Object.keys(right)
  return keys.length === count || keys.filter((key) => right[key] !== undefined).length === count
}
