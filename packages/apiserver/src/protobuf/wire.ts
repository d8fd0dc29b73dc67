/** The protobuf wire format: reading varints, fixed-width numbers and byte strings out of a message. */

/** What a client sent is no message. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError'
}

export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const

/** How many fields may still be read, here and in all messages within. */
export interface FieldsLeft {
  fields: number
}

export interface WireReader {
  readonly done: boolean
  /** The number and wire type of the next field. */
  tag(): { number: number; type: number }
  /** A varint as a signed 64-bit number; what no double can hold exactly comes out rounded. */
  int64(): number
  int32(): number
  bool(): boolean
  double(): number
  bytes(): Buffer
  /** The fields of a message within. */
  message(): WireReader
  string(): string
  skip(type: number): void
}

export function createWireReader(message: Buffer, left: FieldsLeft): WireReader {
  let position = 0

  function need(count: number): void {
    if (position + count > message.length) throw new ProtobufError('unexpected end of message')
  }

  /** As unsigned 64 bits. */
  function varint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      need(1)
      const byte = message[position++] as number
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new ProtobufError('a number is longer than 64 bits')
  }

  /** Most numbers have one byte or a few: no need for a big integer then. */
  function unsigned(): number {
    let value = 0
    for (let index = 0; index < 4; index++) {
      const byte = message[position + index]
      if (byte === undefined) break
      value |= (byte & 0x7f) << (7 * index)
      if (byte < 0x80) {
        position += index + 1
        return value
      }
    }
    return Number(varint())
  }

  function signed(bits: 32 | 64): number {
    const first = message[position]
    return first !== undefined && first < 0x80 ? unsigned() : Number(BigInt.asIntN(bits, varint()))
  }

  function bytes(): Buffer {
    const count = length()
    position += count
    return message.subarray(position - count, position)
  }

  function length(): number {
    const count = unsigned()
    need(count)
    return count
  }

  return {
    get done() {
      return position >= message.length
    },
    tag() {
      if (left.fields-- <= 0) throw new ProtobufError('the message has too many fields')
      const tag = unsigned()
      const number = Math.floor(tag / 8)
      if (number < 1 || number > 0x1fffffff) throw new ProtobufError(`bad field number ${number}`)
      return { number, type: tag % 8 }
    },
    int64: () => signed(64),
    int32: () => signed(32),
    bool: () => unsigned() !== 0,
    double() {
      need(8)
      position += 8
      return message.readDoubleLE(position - 8)
    },
    bytes,
    message: () => createWireReader(bytes(), left),
    string() {
      const count = length()
      position += count
      return message.toString('utf8', position - count, position)
    },
    skip(type) {
      if (type === WIRE.varint) unsigned()
      else if (type === WIRE.bytes) bytes()
      else if (type === WIRE.fixed64 || type === WIRE.fixed32) {
        const count = type === WIRE.fixed64 ? 8 : 4
        need(count)
        position += count
      } else throw new ProtobufError(`wire type ${type} is not supported`)
    },
  }
}
