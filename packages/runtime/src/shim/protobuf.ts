/** As much of Protocol Buffers as the shims' few messages need: numbers, bytes, text, messages within messages. */

export type FieldValue = string | number | boolean | Uint8Array | undefined

const VARINT = 0
const LENGTH_DELIMITED = 2

/** What is undefined, false, 0 or empty is left out, as in proto3. */
export function encodeMessage(fields: Readonly<Record<number, FieldValue>>): Buffer {
  const parts: Uint8Array[] = []
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined || value === false || value === 0 || value === '') continue
    const field = Number(key) * 8
    if (typeof value === 'number' || value === true) {
      parts.push(varint(field + VARINT), varint(Number(value)))
      continue
    }
    const bytes = typeof value === 'string' ? Buffer.from(value) : value
    parts.push(varint(field + LENGTH_DELIMITED), varint(bytes.length), bytes)
  }
  return Buffer.concat(parts)
}

export interface DecodedMessage {
  /** 0 where it was left out. The last one counts where there are several. */
  number(field: number): number
  /** Empty where it was left out. */
  bytes(field: number): Buffer
  text(field: number): string
}

/** Fields of other kinds are passed over. Throws where the bytes are no message. */
export function decodeMessage(message: Buffer): DecodedMessage {
  const numbers = new Map<number, number>()
  const blocks = new Map<number, Buffer>()
  let at = 0
  const next = (): number => {
    const { value, end } = readVarint(message, at)
    at = end
    return value
  }
  while (at < message.length) {
    const key = next()
    const [field, kind] = [Math.floor(key / 8), key % 8]
    if (kind === VARINT) numbers.set(field, next())
    else if (kind === LENGTH_DELIMITED) {
      const length = next()
      if (at + length > message.length) throw new Error('a field is longer than its message')
      blocks.set(field, message.subarray(at, at + length))
      at += length
    } else if (kind === 1) at += 8
    else if (kind === 5) at += 4
    else throw new Error(`a field of the unknown kind ${kind}`)
  }
  const bytes = (field: number): Buffer => blocks.get(field) ?? Buffer.alloc(0)
  return { number: (field) => numbers.get(field) ?? 0, bytes, text: (field) => bytes(field).toString() }
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
  return Buffer.from(bytes)
}

/** Of 64 bits at most; beyond 2^53 it is no longer exact, which no number that is read here is. */
function readVarint(message: Buffer, start: number): { value: number; end: number } {
  let value = 0
  for (let at = start; at < start + 10; at++) {
    const byte = message[at]
    if (byte === undefined) throw new Error('a number goes on beyond its message')
    value += (byte & 0x7f) * 2 ** (7 * (at - start))
    if (byte < 0x80) return { value, end: at + 1 }
  }
  throw new Error('a number of more than 64 bits')
}
