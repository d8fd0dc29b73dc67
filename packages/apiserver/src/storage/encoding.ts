/**
 * The JSON text of stored objects, made once for disk, answers and watches alike. Only the most recent texts are kept:
 * all of them would double what the objects themselves take.
 */
const BOUND = 8 << 20

// Two generations: when the young one is full it becomes the old one, and what nobody asked for since then is dropped.
let young = new Map<object, string>()
let old = new Map<object, string>()
let youngLength = 0

/** @param text what `JSON.stringify` makes of `value`, which must be frozen */
export function rememberEncoding(value: object, text: string): void {
  // A text that fills a tenth of the cache would push out everything that is asked for often.
  if (text.length > BOUND / 10) return
  if (youngLength + text.length > BOUND) {
    old = young
    young = new Map()
    youngLength = 0
  }
  young.set(value, text)
  youngLength += text.length
}

/** The JSON text of a frozen value. */
export function encode(value: object): string {
  const recent = young.get(value)
  if (recent !== undefined) return recent
  const text = old.get(value) ?? JSON.stringify(value)
  if (Object.isFrozen(value)) rememberEncoding(value, text)
  return text
}
