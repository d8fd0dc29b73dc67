/** How rules write property names that are no identifiers of CEL: `a.b` is `self.a__dot__b`. */

const RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
)

/** Undefined for names that rules cannot reach. */
export function escapeProperty(name: string): string | undefined {
  if (RESERVED.has(name)) return `__${name}__`
  if (!/^[a-zA-Z_./-][a-zA-Z0-9_./-]*$/.test(name)) return undefined
  return name.replace(/__|[./-]/g, (part) => ESCAPES[part as keyof typeof ESCAPES])
}

const ESCAPES = { __: '__underscores__', '.': '__dot__', '/': '__slash__', '-': '__dash__' } as const
const UNESCAPES: ReadonlyMap<string, string> = new Map(
  Object.entries(ESCAPES).map(([plain, escaped]) => [escaped, plain]),
)

/** The property that is meant; undefined for what is no escaped name. */
export function unescapeProperty(escaped: string): string | undefined {
  if (!escaped.includes('__')) return escaped
  let valid = true
  const name = escaped.replace(/__[^_]+__/g, (part) => {
    const plain = UNESCAPES.get(part)
    if (plain !== undefined) return plain
    const word = part.slice(2, -2)
    if (!RESERVED.has(word) || part.length !== escaped.length) valid = false
    return word
  })
  return valid ? name : undefined
}
