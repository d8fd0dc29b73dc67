/** Where two values differ: `body.metadata.name: "a" != "b"`. */
export function differences(expected: unknown, found: unknown, path = ''): string[] {
  if (Object.is(expected, found)) return []
  if (Array.isArray(expected) && Array.isArray(found)) {
    const length = expected.length === found.length ? [] : [`${path}: ${expected.length} elements != ${found.length}`]
    return [
      ...length,
      ...expected.flatMap((item: unknown, index) =>
        index < found.length ? differences(item, found[index], `${path}[${index}]`) : [],
      ),
    ]
  }
  if (isObject(expected) && isObject(found)) {
    return [...new Set([...Object.keys(expected), ...Object.keys(found)])].flatMap((key) =>
      differences(expected[key], found[key], path ? `${path}.${key}` : key),
    )
  }
  return [`${path}: ${shown(expected)} != ${shown(found)}`]
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 4000 ? `${text.slice(0, 4000)}…` : text
}
