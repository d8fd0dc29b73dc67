/** The merge patch that turns one string map into another; undefined when they are the same. */
export function stringMapPatch(
  current: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
): Record<string, string | null> | undefined {
  const changes: [string, string | null][] = []
  for (const [key, value] of wanted) if (current.get(key) !== value) changes.push([key, value])
  for (const key of current.keys()) if (!wanted.has(key)) changes.push([key, null])
  // fromEntries defines each key, so that one called __proto__ stays a key.
  return changes.length ? (Object.fromEntries(changes) as Record<string, string | null>) : undefined
}
