/**
 * Encodes built-in kinds as `application/vnd.kubernetes.protobuf`, byte for byte as Kubernetes' own Go code does: fields in
 * the order of their numbers, keys of maps in order, what is no pointer in Go written also where it is empty.
 *
 * Bytes are strings of one character each (`latin1`): they join without being copied, and go out in one write together
 * with the headers.
 */
import type { KubeList } from '@caisson/api'
import { ENCODINGS_BOUND } from '../storage/encoding.ts'
import { createRecentCache } from '../storage/recent-cache.ts'
import { definitionOf, EXTENSIONS, type Field, META, messageOf } from './messages.ts'
import { WIRE } from './wire.ts'
import {
  reset,
  take,
  writeBase64,
  writeDelimiter,
  writeDouble,
  writeSigned,
  writeTag,
  writeText,
  writeUnsigned,
  written,
} from './wire-writer.ts'

/** Whether Kubernetes has the kind in protobuf. */
export function hasMessage(apiVersion: string, kind: string): boolean {
  return messageOf(definitionOf(apiVersion, kind)) !== undefined
}

/** An object with its envelope. Throws a TypeError where Kubernetes has no message for it. */
export function encodeObject(object: { apiVersion: string; kind: string }): string {
  return envelope(object, encodeRaw(object))
}

/**
 * A list of stored objects with its envelope, item by item: how long all of it is stands at its beginning, so that each is
 * encoded before that, which gives nothing, and where it has been forgotten until it is its turn, again.
 */
export function* encodeList(list: KubeList): Generator<string> {
  const metadata = delimited(1, rawMessage(`${META}.ListMeta`, list.metadata))
  let { length } = metadata
  let sized = 0
  for (const item of list.items) {
    const bytes = encodeRaw(item).length
    length += prefix(2, bytes).length + bytes
    sized += bytes
    if (sized < SIZED_AT_ONCE) continue
    sized = 0
    yield ''
  }
  yield opening(list) + prefix(2, length) + metadata
  for (const item of list.items) yield delimited(2, encodeRaw(item))
  yield CLOSING
}

/** Bytes whose length is found out before others may have their turn. */
const SIZED_AT_ONCE = 128 << 10

/** A `WatchEvent`, with its length in four bytes before it. */
export function encodeWatchEvent(type: string, object: { apiVersion: string; kind: string }): string {
  const event = delimited(1, type) + delimited(2, delimited(1, encodeObject(object)))
  const { length } = event
  return String.fromCharCode(length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff) + event
}

const MAGIC = 'k8s\0'

/** `runtime.Unknown`: the type, the object, and no encoding or content type of its own. */
function envelope(object: { apiVersion: string; kind: string }, raw: string): string {
  return opening(object) + delimited(2, raw) + CLOSING
}

function opening({ apiVersion, kind }: { apiVersion: string; kind: string }): string {
  return MAGIC + delimited(1, delimited(1, apiVersion) + delimited(2, kind))
}

function delimited(number: number, bytes: string): string {
  return prefix(number, bytes.length) + bytes
}

/** Of a field of so many bytes. */
function prefix(number: number, bytes: number): string {
  let text = String.fromCharCode(number * 8 + WIRE.bytes)
  let length = bytes
  for (; length >= 0x80; length = Math.floor(length / 0x80)) text += String.fromCharCode((length % 0x80) | 0x80)
  return text + String.fromCharCode(length)
}

const CLOSING = delimited(3, '') + delimited(4, '')

const cache = createRecentCache<string>(ENCODINGS_BOUND)

function encodeRaw(object: { apiVersion: string; kind: string }): string {
  const known = cache.get(object)
  if (known !== undefined) return known
  const bytes = rawMessage(definitionOf(object.apiVersion, object.kind), object)
  if (Object.isFrozen(object)) cache.set(object, bytes, bytes.length)
  return bytes
}

function rawMessage(definition: string, object: object): string {
  try {
    structWriter(definition)(object)
    return take()
  } catch (error) {
    reset()
    throw error
  }
}

/** Writes a value, without its tag and length. */
type Write = (value: unknown) => void
/** Writes a field of an object, from its end. */
type WriteField = (object: Readonly<Record<string, unknown>>) => void

const writers = new Map<string, Write>()

/** Made of a definition when it is first needed; what refers to itself finds itself. */
function structWriter(definition: string): Write {
  const known = writers.get(definition)
  if (known) return known
  const message = messageOf(definition)
  if (!message) throw new TypeError(`no protobuf message is known for ${definition}`)
  let fields: WriteField[] | undefined
  const write: Write = (value) => {
    // From the end, so that they come out in order.
    fields ??= [...message.values()].sort((a, b) => b.number - a.number).map(fieldWriter)
    const object = (value ?? EMPTY) as Readonly<Record<string, unknown>>
    for (const writeField of fields) writeField(object)
  }
  writers.set(definition, write)
  return write
}

const EMPTY: Readonly<Record<string, unknown>> = Object.freeze({})

function fieldWriter(field: Field): WriteField {
  const { name, number, shape } = field
  const write = valueWriter(field.type, number)
  if (name === undefined) return write
  if (shape === 'list')
    return (object) => {
      const items = object[name] as readonly unknown[] | null | undefined
      if (items) for (let index = items.length - 1; index >= 0; index--) write(items[index])
    }
  if (shape === 'map') return mapWriter(name, number, field.type)
  if (field.pointer || field.type === 'bytes')
    return (object) => {
      const value = object[name]
      if (value !== undefined && value !== null) write(value)
    }
  return (object) => write(object[name])
}

function mapWriter(name: string, number: number, type: string): WriteField {
  const write = valueWriter(type, 2)
  return (object) => {
    const map = object[name] as Readonly<Record<string, unknown>> | null | undefined
    if (!map) return
    const keys = Object.keys(map)
    if (keys.length > 1) keys.sort(compareBytes)
    for (let index = keys.length - 1; index >= 0; index--) {
      const key = keys[index] as string
      const from = written()
      if (map[key] !== null || type !== 'bytes') write(map[key])
      const beforeKey = written()
      writeText(key)
      writeDelimiter(1, beforeKey)
      writeDelimiter(number, from)
    }
  }
}

/** As Go orders strings: surrogates, which stand for characters beyond all others, come last. */
function compareBytes(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const [left, right] = [a.charCodeAt(index), b.charCodeAt(index)]
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

function rank(code: number): number {
  return code >= 0xd800 && code <= 0xdfff ? code + 0x10000 : code
}

/** Writes a value of that type with its tag, the zero value where there is none. */
function valueWriter(type: string, number: number): Write {
  switch (type) {
    case 'bool':
      return (value) => {
        writeUnsigned(value === true ? 1 : 0)
        writeTag(number, WIRE.varint)
      }
    case 'int32':
    case 'int64':
      return (value) => {
        writeSigned((value as number | null | undefined) ?? 0)
        writeTag(number, WIRE.varint)
      }
    case 'double':
      return (value) => {
        writeDouble((value as number | null | undefined) ?? 0)
        writeTag(number, WIRE.fixed64)
      }
    default: {
      const write = type === 'string' ? writeString : type === 'bytes' ? writeBytes : messageWriter(type)
      return (value) => {
        const from = written()
        write(value)
        writeDelimiter(number, from)
      }
    }
  }
}

function writeString(value: unknown): void {
  if (typeof value === 'string') writeText(value)
}

function writeBytes(value: unknown): void {
  if (typeof value === 'string') writeBase64(value)
}

function messageWriter(definition: string): Write {
  return SPECIAL[definition] ?? structWriter(definition)
}

/** A field of bytes that have been written already by `write`. */
function writeDelimited(number: number, write: () => void): void {
  const from = written()
  write()
  writeDelimiter(number, from)
}

const SCHEMA = `${EXTENSIONS}.JSONSchemaProps`

/** Messages that are something else in JSON than an object with the same fields. */
const SPECIAL: Readonly<Record<string, Write>> = {
  [`${META}.Time`]: (value) => writeTime(value, false),
  [`${META}.MicroTime`]: (value) => writeTime(value, true),
  [`${META}.FieldsV1`]: writeRaw,
  [`${META}.Verbs`]: (value) => writeEach(1, value, writeString),
  'io.k8s.apimachinery.pkg.runtime.RawExtension': writeRaw,
  'io.k8s.apimachinery.pkg.api.resource.Quantity': (value) =>
    writeDelimited(1, () => writeText(typeof value === 'string' || typeof value === 'number' ? String(value) : '0')),
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': writeIntOrString,
  'io.k8s.api.authentication.v1.ExtraValue': (value) => writeEach(1, value, writeString),
  'io.k8s.api.authorization.v1.ExtraValue': (value) => writeEach(1, value, writeString),
  'io.k8s.api.certificates.v1.ExtraValue': (value) => writeEach(1, value, writeString),
  [`${EXTENSIONS}.JSON`]: writeRaw,
  [`${EXTENSIONS}.JSONSchemaPropsOrBool`](value) {
    const isSchema = typeof value === 'object' && value !== null
    if (isSchema) writeDelimited(2, () => structWriter(SCHEMA)(value))
    writeUnsigned(isSchema || value === true ? 1 : 0)
    writeTag(1, WIRE.varint)
  },
  [`${EXTENSIONS}.JSONSchemaPropsOrArray`](value) {
    if (Array.isArray(value)) writeEach(2, value, structWriter(SCHEMA))
    else if (value) writeDelimited(1, () => structWriter(SCHEMA)(value))
  },
  [`${EXTENSIONS}.JSONSchemaPropsOrStringArray`](value) {
    if (Array.isArray(value)) writeEach(2, value, writeString)
    else if (value) writeDelimited(1, () => structWriter(SCHEMA)(value))
  },
}

function writeEach(number: number, value: unknown, write: Write): void {
  if (!Array.isArray(value)) return
  for (let index = value.length - 1; index >= 0; index--) writeDelimited(number, () => write(value[index]))
}

function writeRaw(value: unknown): void {
  if (value !== undefined && value !== null) writeDelimited(1, () => writeText(JSON.stringify(value)))
}

function writeTime(value: unknown, micro: boolean): void {
  if (typeof value !== 'string') return
  const milliseconds = Date.parse(value)
  if (Number.isNaN(milliseconds)) return
  const nanoseconds = micro ? Number(/\.(\d{1,9})/.exec(value)?.[1]?.padEnd(9, '0') ?? 0) : 0
  writeSigned(nanoseconds)
  writeTag(2, WIRE.varint)
  writeSigned(Math.floor(milliseconds / 1000))
  writeTag(1, WIRE.varint)
}

/** All three fields, whichever it is. */
function writeIntOrString(value: unknown): void {
  const isText = typeof value === 'string'
  writeDelimited(3, () => writeString(value))
  writeSigned(typeof value === 'number' ? value : 0)
  writeTag(2, WIRE.varint)
  writeUnsigned(isText ? 1 : 0)
  writeTag(1, WIRE.varint)
}
