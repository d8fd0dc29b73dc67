/**
 * The encodings of stored objects, made once for disk, answers and watches alike. Only the most recent ones are kept: all
 * of them would double what the objects themselves take.
 */
const BOUND = 8 << 20

export interface EncodingCache {
  get(value: object): string | undefined
  /** @param value must be frozen */
  set(value: object, text: string): void
}

export function createEncodingCache(): EncodingCache {
  // Two generations: when the young one is full it becomes the old one, and what nobody asked for since then is dropped.
  let young = new Map<object, string>()
  let old = new Map<object, string>()
  let youngLength = 0

  function set(value: object, text: string): void {
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

  return {
    set,
    get(value) {
      const recent = young.get(value)
      if (recent !== undefined) return recent
      const text = old.get(value)
      if (text !== undefined) set(value, text)
      return text
    },
  }
}

const texts = createEncodingCache()

/** @param text what `JSON.stringify` makes of `value`, which must be frozen */
export const rememberEncoding = texts.set

/** The JSON text of a frozen value. */
export function encode(value: object): string {
  const known = texts.get(value)
  if (known !== undefined) return known
  const text = JSON.stringify(value)
  if (Object.isFrozen(value)) rememberEncoding(value, text)
  return text
}
