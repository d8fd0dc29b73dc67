/**
 * The hash of an object's name as labels carry it: FNV-1a, 32 bits, over UTF-8, as 8 lower-case hex digits. Two names can
 * share it, so ownership is always decided by UID.
 */
export function nameHash(name: string): string {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
