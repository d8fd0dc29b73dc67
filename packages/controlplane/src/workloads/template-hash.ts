/** The hash that tells the Pods of one template from those of another, as it stands in names and labels. */

const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'

/**
 * FNV-1a over the template's canonical JSON, in Kubernetes' alphabet without vowels. Kubernetes hashes a dump of its Go
 * structs instead, so that the same template has another hash there; both only ever compare their own.
 *
 * @param collisions raised when a hash was taken by another template
 */
export function templateHash(template: unknown, collisions = 0): string {
  let hash = 0x811c9dc5
  const text = canonical(template) + (collisions ? String(collisions) : '')
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return Array.from(String(hash >>> 0), (digit) => ALPHABET[digit.charCodeAt(0) % ALPHABET.length]).join('')
}

/** The same text for the same value, whatever the order of its fields. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(',')}}`
}
