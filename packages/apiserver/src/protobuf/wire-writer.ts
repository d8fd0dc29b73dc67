/**
 * Writing the protobuf wire format, from the end to the beginning: the length of what is nested is known by the time that
 * it has to be written, and everything is written once.
 *
 * There is one buffer, for messages are written one after the other and copied out.
 */
import { WIRE } from './wire.ts'

const FIRST_BYTES = 64 << 10
/** A buffer that one large object needed is given up again. */
const KEPT_BYTES = 1 << 20

let buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
/** Of the byte that was written last. */
let position = FIRST_BYTES

/** What has been written counts from the end: the difference of two of these is a length. */
export function written(): number {
  return buffer.length - position
}

/** The bytes as a string of one character each, the form in which they are kept and joined. Begins anew. */
export function take(): string {
  const text = buffer.toString('latin1', position)
  reset()
  return text
}

/** Forgets what a failed encoding left. */
export function reset(): void {
  if (buffer.length > KEPT_BYTES) buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  position = buffer.length
}

function reserve(count: number): void {
  if (position >= count) return
  const used = written()
  const larger = Buffer.allocUnsafeSlow(Math.max(buffer.length * 2, used + count))
  buffer.copy(larger, larger.length - used, position)
  buffer = larger
  position = larger.length - used
}

/** An unsigned number up to 2^53. */
export function writeUnsigned(value: number): void {
  reserve(10)
  if (value < 0x80) {
    buffer[--position] = value
    return
  }
  let count = 1
  for (let rest = Math.floor(value / 0x80); rest > 0; rest = Math.floor(rest / 0x80)) count++
  position -= count
  let left = value
  for (let index = 0; index < count - 1; index++) {
    buffer[position + index] = (left % 0x80) | 0x80
    left = Math.floor(left / 0x80)
  }
  buffer[position + count - 1] = left
}

/** Negative numbers have ten bytes, as 64 bits in two's complement. */
export function writeSigned(value: number): void {
  if (value >= 0) return writeUnsigned(value)
  reserve(10)
  position -= 10
  let left = BigInt.asUintN(64, BigInt(Math.trunc(value)))
  for (let index = 0; index < 9; index++) {
    buffer[position + index] = Number(left & 0x7fn) | 0x80
    left >>= 7n
  }
  buffer[position + 9] = Number(left)
}

export function writeDouble(value: number): void {
  reserve(8)
  position -= 8
  buffer.writeDoubleLE(value, position)
}

/** @param number below 2048: no field of Kubernetes is beyond */
export function writeTag(number: number, type: number): void {
  writeUnsigned(number * 8 + type)
}

/** The length and the tag of what has been written since `from`, a value of `written()`. */
export function writeDelimiter(number: number, from: number): void {
  writeUnsigned(written() - from)
  writeTag(number, WIRE.bytes)
}

const LONGEST_LOOP = 48

/** UTF-8, without its length. */
export function writeText(text: string): void {
  const { length } = text
  reserve(length * 3)
  if (length <= LONGEST_LOOP) {
    const start = position - length
    let index = length - 1
    for (; index >= 0; index--) {
      const code = text.charCodeAt(index)
      if (code >= 0x80) break
      buffer[start + index] = code
    }
    if (index < 0) {
      position = start
      return
    }
  }
  position -= Buffer.byteLength(text)
  buffer.write(text, position)
}

export function writeBase64(text: string): void {
  const bytes = Buffer.from(text, 'base64')
  reserve(bytes.length)
  position -= bytes.length
  bytes.copy(buffer, position)
}
