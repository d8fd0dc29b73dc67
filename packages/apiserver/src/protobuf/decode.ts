/**
 * Decodes `application/vnd.kubernetes.protobuf`, in which clients written in Go send built-in kinds, into the JSON value
 * that they would have sent.
 */
import { define } from '../patch/merge-patch.ts'
import { definitionOf, EXTENSIONS, META, messageOf, PROTOBUF_TYPE } from './messages.ts'
import { createWireReader, ProtobufError, WIRE, type WireReader } from './wire.ts'

export { ProtobufError } from './wire.ts'

const MAGIC = Buffer.from('k8s\0')
/** Schemas nest; no honest one does so as deep as this. */
const MAX_DEPTH = 100

/** Throws a `ProtobufError`. */
export function decodeProtobuf(body: Buffer): Record<string, unknown> {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC))
    throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]')
  if (body.length === MAGIC.length) throw new ProtobufError('empty body')
  const { apiVersion, kind, raw, contentType } = readEnvelope(createWireReader(body.subarray(MAGIC.length)))
  if (contentType !== '' && contentType !== PROTOBUF_TYPE)
    throw new ProtobufError(
      `content of type ${JSON.stringify(contentType)} inside of a protobuf message is not supported`,
    )
  const definition = definitionOf(apiVersion, kind)
  if (!messageOf(definition))
    throw new ProtobufError(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}`)
  return { kind, apiVersion, ...decodeMessage(definition, raw, 0) }
}

/** `runtime.Unknown`: the type, and the object as bytes. */
function readEnvelope(reader: WireReader) {
  let apiVersion = ''
  let kind = ''
  let raw = Buffer.alloc(0)
  let contentType = ''
  while (!reader.done) {
    const { number, type } = reader.tag()
    if (type !== WIRE.bytes) reader.skip(type)
    else if (number === 1) {
      const inner = createWireReader(reader.bytes())
      while (!inner.done) {
        const tag = inner.tag()
        if (tag.number === 1 && tag.type === WIRE.bytes) apiVersion = inner.string()
        else if (tag.number === 2 && tag.type === WIRE.bytes) kind = inner.string()
        else inner.skip(tag.type)
      }
    } else if (number === 2) raw = Buffer.from(reader.bytes())
    else if (number === 3) {
      if (reader.string() !== '')
        throw new ProtobufError('encoded content inside of a protobuf message is not supported')
    } else if (number === 4) contentType = reader.string()
    else reader.skip(type)
  }
  return { apiVersion, kind, raw, contentType }
}

function decodeMessage(definition: string, bytes: Buffer, depth: number): Record<string, unknown> {
  if (depth > MAX_DEPTH) throw new ProtobufError(`the message is nested deeper than ${MAX_DEPTH} levels`)
  const message = messageOf(definition)
  if (!message) throw new ProtobufError(`no message is known for ${definition}`)
  const object: Record<string, unknown> = {}
  const reader = createWireReader(bytes)
  while (!reader.done) {
    const { number, type } = reader.tag()
    const field = message.get(number)
    if (!field) {
      reader.skip(type)
      continue
    }
    const { name, shape } = field
    if (name === undefined) Object.assign(object, decodeMessage(field.type, reader.bytes(), depth + 1))
    else if (shape === 'one') object[name] = decodeValue(field.type, reader, { type, depth })
    else if (shape === 'list')
      ((object[name] ??= []) as unknown[]).push(decodeValue(field.type, reader, { type, depth }))
    else addEntry((object[name] ??= {}) as Record<string, unknown>, field.type, { bytes: reader.bytes(), depth })
  }
  return object
}

function addEntry(
  map: Record<string, unknown>,
  valueType: string,
  { bytes, depth }: { bytes: Buffer; depth: number },
): void {
  const reader = createWireReader(bytes)
  let key = ''
  let value: unknown
  while (!reader.done) {
    const { number, type } = reader.tag()
    if (number === 1 && type === WIRE.bytes) key = reader.string()
    else if (number === 2) value = decodeValue(valueType, reader, { type, depth })
    else reader.skip(type)
  }
  define(map, key, value ?? emptyValue(valueType))
}

/** What is left out of a message has the zero value. */
function emptyValue(type: string): unknown {
  if (type === 'string' || type === 'bytes') return ''
  if (type === 'bool') return false
  if (type.startsWith('int') || type === 'double') return 0
  return decodeNested(type, Buffer.alloc(0), 0)
}

const WIRE_TYPES: Readonly<Record<string, number>> = {
  bool: WIRE.varint,
  int32: WIRE.varint,
  int64: WIRE.varint,
  double: WIRE.fixed64,
}

function decodeValue(kind: string, reader: WireReader, { type, depth }: { type: number; depth: number }): unknown {
  if (type !== (WIRE_TYPES[kind] ?? WIRE.bytes)) throw new ProtobufError(`wire type ${type} does not fit a ${kind}`)
  switch (kind) {
    case 'string':
      return reader.string()
    case 'bool':
      return reader.bool()
    case 'int32':
      return reader.int32()
    case 'int64':
      return reader.int64()
    case 'double':
      return reader.double()
    case 'bytes':
      return reader.bytes().toString('base64')
    default:
      return decodeNested(kind, reader.bytes(), depth + 1)
  }
}

/** Messages that are something else in JSON than an object with the same fields. */
const SPECIAL: Readonly<Record<string, (bytes: Buffer, depth: number) => unknown>> = {
  [`${META}.Time`]: (bytes) => decodeTime(bytes, 0),
  [`${META}.MicroTime`]: (bytes) => decodeTime(bytes, 6),
  [`${META}.FieldsV1`]: decodeRaw,
  'io.k8s.apimachinery.pkg.runtime.RawExtension': decodeRaw,
  'io.k8s.apimachinery.pkg.api.resource.Quantity': (bytes) => readFields(bytes).strings.get(1) ?? '0',
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': decodeIntOrString,
  'io.k8s.api.authentication.v1.ExtraValue': decodeStrings,
  'io.k8s.api.authorization.v1.ExtraValue': decodeStrings,
  [`${EXTENSIONS}.JSON`]: decodeRaw,
  [`${EXTENSIONS}.JSONSchemaPropsOrBool`](bytes, depth) {
    const { numbers, messages: inner } = readFields(bytes)
    const schema = inner.get(2)
    return schema ? decodeMessage(SCHEMA, schema, depth + 1) : numbers.get(1) === 1
  },
  [`${EXTENSIONS}.JSONSchemaPropsOrArray`](bytes, depth) {
    const schema = readFields(bytes).messages.get(1)
    if (schema) return decodeMessage(SCHEMA, schema, depth + 1)
    return readRepeated(bytes, 2).map((each) => decodeMessage(SCHEMA, each, depth + 1))
  },
  [`${EXTENSIONS}.JSONSchemaPropsOrStringArray`](bytes, depth) {
    const schema = readFields(bytes).messages.get(1)
    return schema ? decodeMessage(SCHEMA, schema, depth + 1) : readRepeated(bytes, 2).map(String)
  },
}

const SCHEMA = `${EXTENSIONS}.JSONSchemaProps`

function decodeNested(definition: string, bytes: Buffer, depth: number): unknown {
  const special = SPECIAL[definition]
  return special ? special(bytes, depth) : decodeMessage(definition, bytes, depth)
}

/** The fields of a small message, each as what its wire type says. */
function readFields(bytes: Buffer) {
  const numbers = new Map<number, number>()
  const strings = new Map<number, string>()
  const nested = new Map<number, Buffer>()
  const reader = createWireReader(bytes)
  while (!reader.done) {
    const { number, type } = reader.tag()
    if (type === WIRE.varint) numbers.set(number, reader.int64())
    else if (type === WIRE.bytes) {
      const value = reader.bytes()
      strings.set(number, value.toString())
      nested.set(number, value)
    } else reader.skip(type)
  }
  return { numbers, strings, messages: nested }
}

function readRepeated(bytes: Buffer, wanted: number): Buffer[] {
  const found: Buffer[] = []
  const reader = createWireReader(bytes)
  while (!reader.done) {
    const { number, type } = reader.tag()
    if (number === wanted && type === WIRE.bytes) found.push(reader.bytes())
    else reader.skip(type)
  }
  return found
}

/** RFC 3339; the zero time is no time at all. */
function decodeTime(bytes: Buffer, digits: 0 | 6): string | null {
  const { numbers } = readFields(bytes)
  if (numbers.size === 0) return null
  const milliseconds = (numbers.get(1) ?? 0) * 1000
  if (!(Math.abs(milliseconds) < 8.64e15)) throw new ProtobufError('a time is out of range')
  const text = new Date(milliseconds).toISOString().slice(0, 19)
  const micros = Math.floor((numbers.get(2) ?? 0) / 1000)
  return digits === 0 ? `${text}Z` : `${text}.${String(micros).padStart(6, '0')}Z`
}

function decodeIntOrString(bytes: Buffer): number | string {
  const { numbers, strings } = readFields(bytes)
  return numbers.get(1) === 1 ? (strings.get(3) ?? '') : (numbers.get(2) ?? 0)
}

function decodeStrings(bytes: Buffer): string[] {
  return readRepeated(bytes, 1).map(String)
}

function decodeRaw(bytes: Buffer): unknown {
  const text = readFields(bytes).strings.get(1)
  if (!text) return null
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new ProtobufError(`raw JSON inside of the message: ${(error as Error).message}`)
  }
}
