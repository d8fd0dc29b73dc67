/** Parts of files, as the header `Range` asks for them. */
export interface ByteRange {
  offset: number
  /** At least 1. */
  length: number
}

/**
 * Undefined where the whole file is to be sent: the header says nothing that is understood, or several parts, of which
 * nobody has to make one answer. `none`: there is no such part.
 *
 * @param size of the file, at least 1
 */
export function byteRange(header: string, size: number): ByteRange | 'none' | undefined {
  const [, first = '', last = ''] = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/.exec(header) ?? []
  if (first === '' && last === '') return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'none' : { offset: size - length, length }
  }
  const offset = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < offset) return undefined
  return offset >= size ? 'none' : { offset, length: end - offset + 1 }
}
