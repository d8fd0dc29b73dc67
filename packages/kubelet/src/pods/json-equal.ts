/**
 * Whether two JSON values say the same. Fields that are undefined are not there, and fields that are null neither: so Go
 * writes a time that is none.
 */
export function jsonEqual(a: unknown, b: unknown): boolean {
  if ((a ?? undefined) === (b ?? undefined)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    return a.every((value, index) => jsonEqual(value, b[index]))
  }
  const one = a as Record<string, unknown>
  const other = b as Record<string, unknown>
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].every((key) =>
    jsonEqual(Object.hasOwn(one, key) ? one[key] : undefined, Object.hasOwn(other, key) ? other[key] : undefined),
  )
}
