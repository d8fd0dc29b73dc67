/** As much of Protocol Buffers' encoding as a handful of small messages needs. */

export type FieldValue = number | Buffer

/** A message that is cut off, or uses what these messages do not have. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError'
  readonly code = 'PROTOBUF'
}

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5
const VARINT_BYTES = 10

/** The fields of a message in their order. Numbers are unsigned, of 32 bits: nothing here is larger. */
export function* fieldsOf(message: Buffer): Generator<[number: number, value: FieldValue], void> {
  let at = 0
  function varint(): number {
    let value = 0n
    for (let index = 0; index < VARINT_BYTES; index++) {
      const byte = message[at++]
      if (byte === undefined) break
      value |= BigInt(byte & 0x7f) << BigInt(7 * index)
      if (byte < 0x80) return Number(BigInt.asUintN(32, value))
    }
    throw new ProtobufError('a number is cut off')
  }
  function take(length: number): Buffer {
    const taken = message.subarray(at, at + length)
    if (taken.length < length) throw new ProtobufError('a field is cut off')
    at += length
    return taken
  }
  while (at < message.length) {
    const tag = varint()
    const field = tag >>> 3
    switch (tag & 7) {
      case VARINT:
        yield [field, varint()]
        break
      case BYTES:
        yield [field, take(varint())]
        break
      case FIXED64:
        take(8)
        break
      case FIXED32:
        take(4)
        break
      default:
        throw new ProtobufError(`field ${field} has a wire type that is not known`)
    }
  }
}

/** A field with bytes, text or another message. */
export function bytesField(field: number, content: Buffer): Buffer {
  return Buffer.concat([varintOf((field << 3) | BYTES), varintOf(content.length), content])
}

/** A field of type int32; negative ones are as long as 64 bits. */
export function int32Field(field: number, value: number): Buffer {
  return Buffer.concat([varintOf((field << 3) | VARINT), varintOf(value)])
}

function varintOf(value: number): Buffer {
  const bytes: number[] = []
  let left = BigInt.asUintN(64, BigInt(value))
  do {
    const low = Number(left & 0x7fn)
    left >>= 7n
    bytes.push(left > 0n ? low | 0x80 : low)
  } while (left > 0n)
  return Buffer.from(bytes)
}

export function textOf(value: FieldValue): string {
  return typeof value === 'number' ? '' : value.toString('utf8')
}

export function numberOf(value: FieldValue): number {
  return typeof value === 'number' ? value : 0
}
