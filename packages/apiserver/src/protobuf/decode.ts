/**
 * Decodes `application/vnd.kubernetes.protobuf`, in which clients written in Go send built-in kinds, into the JSON value
 * that they would have sent.
 */
import { define } from '../patch/merge-patch.ts'
import { MOST_VALUES } from '../verbs/decode.ts'
import { tooManyValues } from '../verbs/errors.ts'
import { definitionOf, EXTENSIONS, type Field, META, messageOf, PROTOBUF_TYPE } from './messages.ts'
import { createWireReader, type FieldsLeft, ProtobufError, WIRE, type WireReader } from './wire.ts'

export { ProtobufError } from './wire.ts'

const MAGIC = Buffer.from('k8s\0')
/** Schemas nest; no honest one does so as deep as this. */
const MAX_DEPTH = 100
/**
 * Fields of all messages of one body, empty ones too, which Go writes by the dozen: what is read of them costs up to half a
 * microsecond each. A definition as large as any that people use has some 200,000.
 */
const MOST_FIELDS = 500_000
const LONGEST_QUOTED = 200

/** What may still come, of everything within one body. */
interface Left extends FieldsLeft {
  depth: number
  /** Messages, items and entries. */
  values: number
}

/** Throws a `ProtobufError`, or a StatusError where there are too many values. */
export function decodeProtobuf(body: Buffer): Record<string, unknown> {
  if (body.length === 0) throw new ProtobufError('empty data')
  if (!body.subarray(0, MAGIC.length).equals(MAGIC))
    throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]')
  if (body.length === MAGIC.length) throw new ProtobufError('empty body')
  const left: Left = { depth: MAX_DEPTH, fields: MOST_FIELDS, values: MOST_VALUES }
  const { apiVersion, kind, raw, contentType } = readEnvelope(createWireReader(body.subarray(MAGIC.length), left))
  if (contentType !== '' && contentType !== PROTOBUF_TYPE)
    throw new ProtobufError(`content of type ${quoted(contentType)} inside of a protobuf message is not supported`)
  const definition = definitionOf(apiVersion, kind)
  if (!messageOf(definition))
    throw new ProtobufError(`no kind ${quoted(kind)} is registered for version ${quoted(apiVersion)}`)
  return decodeMessage(definition, raw, { left, into: { kind, apiVersion } })
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, LONGEST_QUOTED))
}

/** `runtime.Unknown`: the type, and the object as bytes. */
function readEnvelope(reader: WireReader) {
  let type = { apiVersion: '', kind: '' }
  let raw: Buffer = Buffer.alloc(0)
  let contentType = ''
  while (!reader.done) {
    const { number, type: wireType } = reader.tag()
    if (wireType !== WIRE.bytes) reader.skip(wireType)
    else if (number === 1) type = readType(reader.message(), type)
    else if (number === 2) raw = reader.bytes()
    else if (number === 3) {
      if (reader.string() !== '')
        throw new ProtobufError('encoded content inside of a protobuf message is not supported')
    } else if (number === 4) contentType = reader.string()
    else reader.skip(wireType)
  }
  return { ...type, raw, contentType }
}

function readType(reader: WireReader, { apiVersion, kind }: { apiVersion: string; kind: string }) {
  while (!reader.done) {
    const { number, type } = reader.tag()
    if (number === 1 && type === WIRE.bytes) apiVersion = reader.string()
    else if (number === 2 && type === WIRE.bytes) kind = reader.string()
    else reader.skip(type)
  }
  return { apiVersion, kind }
}

function countValue(left: Left): void {
  if (left.values-- <= 0) throw tooManyValues(MOST_VALUES)
}

interface Target {
  left: Left
  /** What an earlier part of the same message has made: they add up, as they do in Go. */
  into?: Record<string, unknown>
}

function decodeMessage(definition: string, bytes: Buffer, { left, into = {} }: Target): Record<string, unknown> {
  if (left.depth-- <= 0) throw new ProtobufError(`the message is nested deeper than ${MAX_DEPTH} levels`)
  const message = messageOf(definition)
  if (!message) throw new ProtobufError(`no message is known for ${definition}`)
  const reader = createWireReader(bytes, left)
  while (!reader.done) {
    const { number, type } = reader.tag()
    const field = message.get(number)
    if (field) readField(field, { reader, type, left, into })
    else reader.skip(type)
  }
  left.depth++
  return into
}

interface Source {
  reader: WireReader
  /** On the wire. */
  type: number
  left: Left
}

function readField(field: Field, source: Source & { into: Record<string, unknown> }): void {
  const { name, shape, type } = field
  const { into, left, reader } = source
  if (name === undefined) decodeMessage(type, messageBytes(type, source), { left, into })
  else if (shape === 'map') addEntry((into[name] ??= {}) as Record<string, unknown>, type, source)
  else if (shape === 'list') {
    const items = (into[name] ??= []) as unknown[]
    if (source.type === WIRE.bytes && WIRE_TYPES[type] !== undefined)
      addPacked(items, type, { left, bytes: reader.bytes() })
    else {
      countValue(left)
      items.push(decodeValue(type, source))
    }
  } else {
    const value = decodeValue(type, source, into[name])
    // Go writes empty scalars by the dozen, and those that are no pointers are nothing at all to it.
    if (field.pointer || type.includes('.') || (value !== '' && value !== 0 && value !== false)) into[name] = value
    else delete into[name]
  }
}

/** Numbers one after the other, without tags. */
function addPacked(items: unknown[], type: string, { left, bytes }: { left: Left; bytes: Buffer }): void {
  const reader = createWireReader(bytes, left)
  while (!reader.done) {
    countValue(left)
    items.push(decodeValue(type, { reader, type: WIRE_TYPES[type] as number, left }))
  }
}

function addEntry(map: Record<string, unknown>, valueType: string, source: Source): void {
  const { left } = source
  countValue(left)
  const reader = createWireReader(messageBytes('map', source), left)
  let key = ''
  let value: unknown
  while (!reader.done) {
    const { number, type } = reader.tag()
    if (number === 1 && type === WIRE.bytes) key = reader.string()
    else if (number === 2) value = decodeValue(valueType, { reader, type, left })
    else reader.skip(type)
  }
  define(map, key, value ?? emptyValue(valueType, left))
}

/** What is left out of a message has the zero value. */
function emptyValue(type: string, left: Left): unknown {
  if (type === 'string' || type === 'bytes') return ''
  if (type === 'bool') return false
  if (type.startsWith('int') || type === 'double') return 0
  return decodeNested(type, Buffer.alloc(0), { left })
}

const WIRE_TYPES: Readonly<Record<string, number>> = {
  bool: WIRE.varint,
  int32: WIRE.varint,
  int64: WIRE.varint,
  double: WIRE.fixed64,
}

function checkWireType(kind: string, type: number): void {
  if (type !== (WIRE_TYPES[kind] ?? WIRE.bytes)) throw new ProtobufError(`wire type ${type} does not fit a ${kind}`)
}

function messageBytes(kind: string, { reader, type }: Source): Buffer {
  checkWireType(kind, type)
  return reader.bytes()
}

/** @param before what an earlier occurrence of the same field was decoded to */
function decodeValue(kind: string, { reader, type, left }: Source, before?: unknown): unknown {
  checkWireType(kind, type)
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
      countValue(left)
      return decodeNested(kind, reader.bytes(), {
        left,
        ...(before !== undefined && { into: before as Record<string, unknown> }),
      })
  }
}

/** Messages that are something else in JSON than an object with the same fields. */
const SPECIAL: Readonly<Record<string, (bytes: Buffer, left: Left) => unknown>> = {
  [`${META}.Time`]: (bytes, left) => decodeTime(readFields(bytes, left), 0),
  [`${META}.MicroTime`]: (bytes, left) => decodeTime(readFields(bytes, left), 6),
  [`${META}.FieldsV1`]: decodeRaw,
  'io.k8s.apimachinery.pkg.runtime.RawExtension': decodeRaw,
  'io.k8s.apimachinery.pkg.api.resource.Quantity': (bytes, left) => String(readFields(bytes, left).texts.get(1) ?? 0),
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': decodeIntOrString,
  'io.k8s.api.authentication.v1.ExtraValue': (bytes, left) => readRepeated(bytes, 1, left).map(String),
  'io.k8s.api.authorization.v1.ExtraValue': (bytes, left) => readRepeated(bytes, 1, left).map(String),
  'io.k8s.api.certificates.v1.ExtraValue': (bytes, left) => readRepeated(bytes, 1, left).map(String),
  [`${EXTENSIONS}.JSON`]: decodeRaw,
  [`${EXTENSIONS}.JSONSchemaPropsOrBool`](bytes, left) {
    const { numbers, texts } = readFields(bytes, left)
    const schema = texts.get(2)
    return schema ? decodeMessage(SCHEMA, schema, { left }) : numbers.get(1) === 1
  },
  [`${EXTENSIONS}.JSONSchemaPropsOrArray`](bytes, left) {
    const schema = readFields(bytes, left).texts.get(1)
    if (schema) return decodeMessage(SCHEMA, schema, { left })
    return readRepeated(bytes, 2, left).map((each) => decodeMessage(SCHEMA, each, { left }))
  },
  [`${EXTENSIONS}.JSONSchemaPropsOrStringArray`](bytes, left) {
    const schema = readFields(bytes, left).texts.get(1)
    return schema ? decodeMessage(SCHEMA, schema, { left }) : readRepeated(bytes, 2, left).map(String)
  },
}

const SCHEMA = `${EXTENSIONS}.JSONSchemaProps`

function decodeNested(definition: string, bytes: Buffer, target: Target): unknown {
  const special = SPECIAL[definition]
  return special ? special(bytes, target.left) : decodeMessage(definition, bytes, target)
}

/** The fields of a small message: numbers, and what has a length. */
function readFields(bytes: Buffer, left: Left) {
  const numbers = new Map<number, number>()
  const texts = new Map<number, Buffer>()
  const reader = createWireReader(bytes, left)
  while (!reader.done) {
    const { number, type } = reader.tag()
    if (type === WIRE.varint) numbers.set(number, reader.int64())
    else if (type === WIRE.bytes) texts.set(number, reader.bytes())
    else reader.skip(type)
  }
  return { numbers, texts }
}

function readRepeated(bytes: Buffer, wanted: number, left: Left): Buffer[] {
  const found: Buffer[] = []
  const reader = createWireReader(bytes, left)
  while (!reader.done) {
    const { number, type } = reader.tag()
    if (number !== wanted || type !== WIRE.bytes) reader.skip(type)
    else {
      countValue(left)
      found.push(reader.bytes())
    }
  }
  return found
}

/** Of the years 1 and 10000, in seconds: what RFC 3339 can say lies between them. */
const [FIRST_SECOND, END] = [-62_135_596_800, 253_402_300_800]

/** RFC 3339; the zero time is no time at all. */
function decodeTime({ numbers }: ReturnType<typeof readFields>, digits: 0 | 6): string | null {
  if (numbers.size === 0) return null
  const seconds = numbers.get(1) ?? 0
  if (seconds < FIRST_SECOND || seconds >= END) throw new ProtobufError('a time is out of range')
  const text = new Date(seconds * 1000).toISOString().slice(0, 19)
  const micros = Math.floor((numbers.get(2) ?? 0) / 1000)
  if (micros < 0 || micros >= 1e6) throw new ProtobufError('a time is out of range')
  return digits === 0 ? `${text}Z` : `${text}.${String(micros).padStart(6, '0')}Z`
}

function decodeIntOrString(bytes: Buffer, left: Left): number | string {
  const { numbers, texts } = readFields(bytes, left)
  return numbers.get(1) === 1 ? String(texts.get(3) ?? '') : (numbers.get(2) ?? 0)
}

function decodeRaw(bytes: Buffer, left: Left): unknown {
  const text = readFields(bytes, left).texts.get(1)
  if (!text || text.length === 0) return null
  try {
    return JSON.parse(text.toString()) as unknown
  } catch (error) {
    throw new ProtobufError(`raw JSON inside of the message: ${(error as Error).message}`)
  }
}
