/**
 * Decodes built-in kinds as kube-apiserver does, whose Go types are stricter than any schema: a wrong type is a 400 in
 * the words of Go's decoder, quantities and times come out in their canonical form, fields that are empty come out as
 * Go writes them (left out, `null` or the zero value).
 */
import { canonicalAmount, canonicalQuantity, QuantityError } from '../registry/quantity.ts'
import { below } from '../shown-path.ts'
import { builtinSchema, type NativeSchema, resolve } from './builtin.ts'
import { base64Error, canonicalMicroTime, canonicalTime, TimeError } from './native-scalars.ts'
import type { Schema } from './schema.ts'

export interface DecodedNative {
  /** A new object that shares nothing with the input but free-form parts; without unknown fields. */
  object: Record<string, unknown>
  /** Paths such as `spec.containers[0].imagePulPolicy`: what strict decoding refuses and `Warn` warns about. */
  unknownFields: string[]
  /** What Go's decoder would have said; the object is of no use then. */
  error: string | undefined
}

/**
 * Decodes `value` as the built-in definition `name`.
 *
 *     decodeNative('io.k8s.api.core.v1.Pod', manifest).error
 *     // json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container
 */
export function decodeNative(name: string, value: Readonly<Record<string, unknown>>): DecodedNative {
  const state: DecodeState = { path: [], goPath: [], unknownFields: [], error: undefined }
  const object = decodeStruct(structPlan(name), value, state) as Record<string, unknown>
  return { object, unknownFields: state.unknownFields, error: state.error }
}

interface DecodeState {
  /** With list indices and map keys, as unknown fields are named. */
  path: string[]
  /** Field names alone, as Go names them in type errors. */
  goPath: string[]
  unknownFields: string[]
  error: string | undefined
}

type ScalarKind = 'string' | 'boolean' | 'int32' | 'int64' | 'double' | 'bytes'
type SpecialKind = 'time' | 'microTime' | 'quantity' | 'amount' | 'intOrString' | 'raw'

type Plan =
  | { kind: ScalarKind | SpecialKind; goType: string }
  | { kind: 'struct'; goType: string; struct: StructPlan }
  | { kind: 'list' | 'map'; goType: string; items: Plan; pointers: boolean }

interface FieldPlan {
  name: string
  plan: Plan
  /** A pointer keeps the difference between absent and zero. */
  pointer: boolean
  omitEmpty: boolean
  omitZero: boolean
}

interface StructPlan {
  /** As Go names the type: `PodSpec`. */
  name: string
  fields: ReadonlyMap<string, FieldPlan>
}

const SPECIAL: Readonly<Record<string, SpecialKind>> = {
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': 'time',
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': 'microTime',
  'io.k8s.apimachinery.pkg.api.resource.Quantity': 'quantity',
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': 'intOrString',
  'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1': 'raw',
  'io.k8s.apimachinery.pkg.runtime.RawExtension': 'raw',
}

const plans = new Map<string, StructPlan>()

function structPlan(name: string): StructPlan {
  let plan = plans.get(name)
  if (!plan) {
    const fields = new Map<string, FieldPlan>()
    plan = { name: name.slice(name.lastIndexOf('.') + 1), fields }
    // Registered before its fields are looked at: JSONSchemaProps contains itself.
    plans.set(name, plan)
    for (const [field, schema] of Object.entries(builtinSchema(name).properties ?? {})) {
      fields.set(field, fieldPlan(field, schema))
    }
  }
  return plan
}

function fieldPlan(name: string, schema: NativeSchema): FieldPlan {
  const [type = '', ...tags] = (schema['x-go'] ?? '').split(',')
  const pointer = type.startsWith('*')
  return {
    name,
    plan: planOf(schema, pointer ? type.slice(1) : type),
    pointer,
    omitEmpty: tags.includes('omitempty'),
    omitZero: tags.includes('omitzero'),
  }
}

function planOf(schema: Schema, goType: string): Plan {
  const special = schema.$ref === undefined ? undefined : SPECIAL[schema.$ref]
  if (special) return { kind: special, goType }
  const target = resolve(schema)
  if (target.type === 'array' && target.items) {
    const itemType = goType.startsWith('[]') ? goType.slice(2) : goType
    return {
      kind: 'list',
      goType,
      items: planOf(target.items, itemType.replace(/^\*/, '')),
      pointers: itemType.startsWith('*'),
    }
  }
  if (target.type === 'object' && typeof target.additionalProperties === 'object') {
    const valueType = goType.replace(/^map\[[^\]]+\]/, '')
    const items = planOf(target.additionalProperties, valueType)
    if (goType === 'v1.ResourceList') items.kind = 'amount'
    return { kind: 'map', goType, items, pointers: false }
  }
  if (target.properties && schema.$ref !== undefined) {
    return { kind: 'struct', goType, struct: structPlan(schema.$ref) }
  }
  if (target.type === 'string') return { kind: target.format === 'byte' ? 'bytes' : 'string', goType }
  if (target.type === 'boolean') return { kind: 'boolean', goType }
  if (target.type === 'integer') return { kind: target.format === 'int64' ? 'int64' : 'int32', goType }
  if (target.type === 'number') return { kind: 'double', goType }
  // `type: object` without properties is a struct without fields; no type at all is anything.
  if (target.type === 'object' && schema.$ref !== undefined) {
    return { kind: 'struct', goType, struct: structPlan(schema.$ref) }
  }
  return { kind: 'raw', goType }
}

/** A Go value that is absent: a nil pointer, slice or map. */
const ABSENT = Symbol('absent')

type Value = string | number | boolean | object | symbol | null

function decodeStruct(plan: StructPlan, value: unknown, state: DecodeState): Record<string, unknown> {
  const source = value as Readonly<Record<string, unknown>>
  const decoded = new Map<FieldPlan, Value>()
  // In the order of the document, in which errors and warnings are reported.
  for (const key of Object.keys(source)) {
    const field = plan.fields.get(key)
    const given = source[key]
    if (!field) {
      state.unknownFields.push(pathOf([...state.path, key]))
    } else if (given !== undefined && given !== null) {
      state.path.push(key)
      state.goPath.push(key)
      decoded.set(field, decode(field.plan, given, state, plan.name))
      state.path.pop()
      state.goPath.pop()
    }
  }
  const object: Record<string, unknown> = {}
  for (const field of plan.fields.values()) {
    const written = write(field, decoded.get(field) ?? ABSENT)
    if (written !== ABSENT) object[field.name] = written
  }
  return object
}

function pathOf(path: readonly string[]): string {
  return path.reduce((text, part) => (part.startsWith('[') ? below(text, part, '') : below(text, part)), '')
}

/** What Go's encoder makes of a field. */
function write(field: FieldPlan, decoded: Value): Value {
  const { plan } = field
  if (field.pointer || plan.kind === 'raw') return decoded !== ABSENT || field.omitEmpty ? decoded : null
  switch (plan.kind) {
    case 'list':
    case 'map':
      // What is stored has no difference between empty and absent.
      if (decoded !== ABSENT && !isEmpty(decoded)) return decoded
      return field.omitEmpty ? ABSENT : null
    case 'struct':
      if (decoded !== ABSENT) return decoded
      return field.omitZero ? ABSENT : zeroStruct(plan.struct)
    case 'time':
    case 'microTime':
      return decoded !== ABSENT ? decoded : field.omitZero ? ABSENT : null
    case 'quantity':
    case 'amount':
      return decoded !== ABSENT ? decoded : field.omitZero ? ABSENT : '0'
    case 'intOrString':
      return decoded !== ABSENT ? decoded : field.omitZero ? ABSENT : 0
    case 'bytes':
      if (decoded !== ABSENT && decoded !== '') return decoded
      return field.omitEmpty ? ABSENT : null
    case 'string':
    case 'boolean':
    case 'int32':
    case 'int64':
    case 'double':
    default: {
      const zero = ZERO[plan.kind]
      const scalar = decoded === ABSENT ? zero : decoded
      return scalar === zero && field.omitEmpty ? ABSENT : scalar
    }
  }
}

const ZERO: Readonly<Record<ScalarKind, Value>> = {
  string: '',
  boolean: false,
  int32: 0,
  int64: 0,
  double: 0,
  bytes: null,
}

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  for (const _key in value as object) return false
  return true
}

function zeroStruct(plan: StructPlan): Record<string, unknown> {
  const object: Record<string, unknown> = {}
  for (const field of plan.fields.values()) {
    const written = write(field, ABSENT)
    if (written !== ABSENT) object[field.name] = written
  }
  return object
}

/** The decoded value, or ABSENT after an error. `struct` is the Go type whose field is being decoded. */
function decode(plan: Plan, value: unknown, state: DecodeState, struct: string): Value {
  switch (plan.kind) {
    case 'string':
      return typeof value === 'string' ? value : mismatch(plan, value, state, struct)
    case 'boolean':
      return typeof value === 'boolean' ? value : mismatch(plan, value, state, struct)
    case 'int32':
    case 'int64':
      return decodeInteger(plan, value, state, struct)
    case 'double':
      return typeof value === 'number' ? value : mismatch(plan, value, state, struct)
    case 'struct':
      return isObject(value) ? decodeStruct(plan.struct, value, state) : mismatch(plan, value, state, struct)
    case 'list':
      return decodeList(plan, value, state, struct)
    case 'map':
      return decodeMap(plan, value, state, struct)
    case 'raw':
      return value as Value
    case 'quantity':
    case 'amount':
    case 'time':
    case 'microTime':
    case 'intOrString':
    case 'bytes':
    default:
      return decodeSpecial({ kind: plan.kind, goType: plan.goType }, value, state, struct)
  }
}

function decodeInteger(plan: Plan, value: unknown, state: DecodeState, struct: string): Value {
  if (typeof value !== 'number') return mismatch(plan, value, state, struct)
  if (isInteger(value, plan.kind === 'int32' ? 2 ** 31 : 2 ** 63)) return value
  return typeError(`number ${value}`, plan, state, struct)
}

/** In two's complement there is one negative number more. */
function isInteger(value: number, limit: number): boolean {
  return Number.isInteger(value) && value >= -limit && value < limit
}

function decodeList(plan: Plan & { items: Plan }, value: unknown, state: DecodeState, struct: string): Value {
  if (!Array.isArray(value)) return mismatch(plan, value, state, struct)
  const pointers = (plan as { pointers: boolean }).pointers
  return value.map((item, index) => {
    if (item === null) return pointers ? null : zero(plan.items)
    state.path.push(`[${index}]`)
    const decoded = decode(plan.items, item, state, struct)
    state.path.pop()
    return decoded
  })
}

function decodeMap(plan: Plan & { items: Plan }, value: unknown, state: DecodeState, struct: string): Value {
  if (!isObject(value)) return mismatch(plan, value, state, struct)
  const map: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const item = value[key]
    state.path.push(key)
    const decoded = item === null ? zeroInMap(plan.items) : decode(plan.items, item, state, struct)
    state.path.pop()
    // `__proto__` is a valid key of a ConfigMap, and must stay one.
    if (key === '__proto__') {
      Object.defineProperty(map, key, { value: decoded, enumerable: true, configurable: true, writable: true })
    } else map[key] = decoded
  }
  return map
}

interface SpecialPlan {
  kind: Exclude<SpecialKind, 'raw'> | 'bytes'
  goType: string
}

/** Go types that decode themselves. */
function decodeSpecial(plan: SpecialPlan, value: unknown, state: DecodeState, struct: string): Value {
  try {
    switch (plan.kind) {
      case 'quantity':
      case 'amount': {
        const text = typeof value === 'string' || typeof value === 'number' ? value : JSON.stringify(value)
        return plan.kind === 'amount' ? canonicalAmount(text) : canonicalQuantity(text)
      }
      case 'time':
      case 'microTime':
        if (typeof value !== 'string') return mismatch({ ...plan, goType: 'string' }, value, state, struct)
        return nonZeroTime(plan.kind === 'time' ? canonicalTime(value) : canonicalMicroTime(value))
      case 'intOrString':
        if (typeof value === 'string') return value
        if (typeof value === 'number' && isInteger(value, 2 ** 31)) return value
        return typeError(goNumber(value), { ...plan, goType: 'int32' }, state, struct)
      case 'bytes':
      default: {
        if (Array.isArray(value)) return decodeBytes(value, state, struct)
        if (typeof value !== 'string') return mismatch({ ...plan, goType: '[]uint8' }, value, state, struct)
        const error = base64Error(value)
        if (error !== undefined) return fail(error, state)
        // Bits beyond the last byte are ignored; written again, they are zero.
        return value.includes('=') ? Buffer.from(value, 'base64').toString('base64') : value.replace(/[\r\n]/g, '')
      }
    }
  } catch (error) {
    if (error instanceof QuantityError || error instanceof TimeError) return fail(error.message, state)
    throw error
  }
}

/** Numbers in a list are bytes, too. */
function decodeBytes(list: readonly unknown[], state: DecodeState, struct: string): Value {
  const bytes = list.map((item) => {
    if (item === null) return 0
    if (typeof item === 'number' && Number.isInteger(item) && item >= 0 && item < 256) return item
    typeError(goNumber(item), { goType: 'uint8' }, state, struct)
    return 0
  })
  return Buffer.from(bytes).toString('base64')
}

/** The first moment of the first year is how Go writes that there is no time. */
function nonZeroTime(time: string): Value {
  return /^0001-01-01T00:00:00(?:\.0+)?Z$/.test(time) ? ABSENT : time
}

/** What is stored has no difference between no bytes and none given. */
function zeroInMap(plan: Plan): unknown {
  return plan.kind === 'bytes' ? '' : zero(plan)
}

function zero(plan: Plan): unknown {
  if (plan.kind === 'struct') return zeroStruct(plan.struct)
  if (plan.kind === 'quantity' || plan.kind === 'amount') return '0'
  if (plan.kind === 'intOrString') return 0
  return plan.kind in ZERO ? ZERO[plan.kind as ScalarKind] : null
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A number that does not fit is named with its value. */
function goNumber(value: unknown): string {
  return typeof value === 'number' ? `number ${value}` : jsonType(value)
}

function jsonType(value: unknown): string {
  if (typeof value === 'boolean') return 'bool'
  return Array.isArray(value) ? 'array' : typeof value
}

function mismatch(plan: { goType: string }, value: unknown, state: DecodeState, struct: string): typeof ABSENT {
  return typeError(jsonType(value), plan, state, struct)
}

function typeError(found: string, plan: { goType: string }, state: DecodeState, struct: string): typeof ABSENT {
  return fail(
    `json: cannot unmarshal ${found} into Go struct field ${struct}.${state.goPath.join('.')} of type ${plan.goType.replace('[]byte', '[]uint8')}`,
    state,
  )
}

/** Go goes on after such an error and reports the first one at the end. */
function fail(message: string, state: DecodeState): typeof ABSENT {
  state.error ??= message
  return ABSENT
}
