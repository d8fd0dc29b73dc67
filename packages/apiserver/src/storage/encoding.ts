/** The encodings of stored objects, made once for disk, answers and watches alike. */
import { createRecentCache } from './recent-cache.ts'

/** Characters, of which the largest object that is stored has about a fifth. */
export const ENCODINGS_BOUND = 8 << 20

const texts = createRecentCache<string>(ENCODINGS_BOUND)

/** @param text what `JSON.stringify` makes of `value`, which must be frozen */
export function rememberEncoding(value: object, text: string): void {
  texts.set(value, text, text.length)
}

/** The JSON text of a frozen value. */
export function encode(value: object): string {
  const known = texts.get(value)
  if (known !== undefined) return known
  const text = JSON.stringify(value)
  if (Object.isFrozen(value)) rememberEncoding(value, text)
  return text
}
