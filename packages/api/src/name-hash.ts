/**
 * The hash of an object's name as labels carry it: FNV-1a, 32 bits, over UTF-8, as 8 lower-case hex digits. Two names can
 * share it, so ownership is always decided by UID.
 */
export function nameHash(name: string): string {
  let hash = 0x811c9dc5
  for (let at = 0; at < name.length; at++) {
    const unit = name.charCodeAt(at)
    // Names that may be names are ASCII: their units are their bytes.
    if (unit > 0x7f) return hex(hashOf(new TextEncoder().encode(name)))
    hash = Math.imul(hash ^ unit, 0x01000193)
  }
  return hex(hash)
}

function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash
}

function hex(hash: number): string {
  return (hash >>> 0).toString(16).padStart(8, '0')
}
