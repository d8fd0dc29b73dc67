/** Text between double quotes as Go's `%q` writes it, which is how Kubernetes' messages quote what came from a client. */
export function goQuoted(text: string): string {
  let quoted = '"'
  for (const character of text) quoted += ESCAPES[character] ?? escaped(character)
  return `${quoted}"`
}

/** A list as Go's `%q` writes a slice: `["a" "b"]`. */
export function goQuotedList(texts: readonly string[]): string {
  return `[${texts.map(goQuoted).join(' ')}]`
}

const ESCAPES: Readonly<Record<string, string>> = {
  __proto__: null,
  '"': '\\"',
  '\\': '\\\\',
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
} as unknown as Record<string, string>

const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u

function escaped(character: string): string {
  if (PRINTABLE.test(character)) return character
  const point = character.codePointAt(0) ?? 0
  if (point < 0x80) return `\\x${point.toString(16).padStart(2, '0')}`
  if (point < 0x10000) return `\\u${point.toString(16).padStart(4, '0')}`
  return `\\U${point.toString(16).padStart(8, '0')}`
}
