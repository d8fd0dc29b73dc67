/**
 * The values of CEL. Integers are bigints (64 bits), doubles numbers; lists and maps are interfaces, so that parts of
 * stored objects are read where they lie.
 */
import { spend, spendOnText } from './work.ts'

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint
  | Uint8Array
  | Timestamp
  | Duration
  | Optional
  | TypeValue
  | ListValue
  | MapValue
  | OpaqueValue

/** What goes wrong while a rule is evaluated; `&&`, `||` and the macros made of them can absorb it. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError'
  readonly code = 'evaluation'
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    // Failures are not free, and a rule can make one for each item of a list.
    spend(2)
  }
}

export function noSuchOverload(): EvaluationError {
  return new EvaluationError('no such overload')
}

export class Uint {
  readonly value: bigint
  constructor(value: bigint) {
    this.value = value
  }
}

export class Timestamp {
  /** Since the epoch. */
  readonly nanos: bigint
  /** Minutes east of UTC, in which it was written and prints. */
  readonly offset: number
  constructor(nanos: bigint, offset = 0) {
    this.nanos = nanos
    this.offset = offset
  }
}

export class Duration {
  readonly nanos: bigint
  constructor(nanos: bigint) {
    this.nanos = nanos
  }
}

export class Optional {
  readonly value: Value | undefined
  constructor(value: Value | undefined) {
    this.value = value
  }
}

export const NONE = new Optional(undefined)

export class TypeValue {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** Values of Kubernetes' own types: quantities, addresses, URLs, versions. */
export abstract class OpaqueValue {
  abstract readonly typeName: string
  abstract equals(other: OpaqueValue): boolean
  /** What `size` would be, for the price of what reads all of it. */
  get size(): number {
    return 1
  }
}

export abstract class ListValue {
  abstract readonly length: number
  abstract at(index: number): Value
  /** Sets and maps among lists do not heed the order. */
  equals(other: ListValue): boolean {
    if (this.length !== other.length) return false
    for (let index = 0; index < this.length; index++) if (!equal(this.at(index), other.at(index))) return false
    return true
  }
  /** Undefined where the two are just put one behind the other. */
  concat(_other: ListValue): ListValue | undefined {
    return undefined
  }
  *[Symbol.iterator](): Generator<Value> {
    for (let index = 0; index < this.length; index++) yield this.at(index)
  }
}

export class ArrayList extends ListValue {
  readonly items: Value[]
  constructor(items: Value[]) {
    super()
    this.items = items
  }
  override get length(): number {
    return this.items.length
  }
  override at(index: number): Value {
    return this.items[index] as Value
  }
}

export abstract class MapValue {
  abstract readonly size: number
  /** Undefined where there is no such key. */
  abstract find(key: Value): Value | undefined
  abstract keys(): Iterable<Value>
  equals(other: MapValue): boolean {
    if (this.size !== other.size) return false
    for (const key of this.keys()) {
      const value = other.find(key)
      if (value === undefined || !equal(this.find(key) as Value, value)) return false
    }
    return true
  }
}

/** A map that an expression made. */
export class EntryMap extends MapValue {
  // Numbers of different types that are equal are the same key.
  readonly entries: Map<string, readonly [Value, Value]> = new Map()
  override get size(): number {
    return this.entries.size
  }
  override find(key: Value): Value | undefined {
    return this.entries.get(keyText(key))?.[1]
  }
  override *keys(): Generator<Value> {
    for (const [key] of this.entries.values()) yield key
  }
  /** False where the key is there already. */
  insert(key: Value, value: Value): boolean {
    const text = keyText(key)
    if (this.entries.has(text)) return false
    this.entries.set(text, [key, value])
    return true
  }
}

function keyText(key: Value): string {
  if (typeof key === 'string') return `s${key}`
  if (typeof key === 'boolean') return `b${key}`
  if (typeof key === 'bigint') return `n${key}`
  if (key instanceof Uint) return `n${key.value}`
  if (typeof key === 'number') return Number.isInteger(key) ? `n${BigInt(key)}` : `d${key}`
  throw new EvaluationError(`unsupported key type: ${typeName(key)}`)
}

/** As `type()` and messages name it. */
export function typeName(value: Value): string {
  switch (typeof value) {
    case 'boolean':
      return 'bool'
    case 'bigint':
      return 'int'
    case 'number':
      return 'double'
    case 'string':
      return 'string'
    default:
      return objectTypeName(value)
  }
}

function objectTypeName(value: Value): string {
  if (value === null) return 'null_type'
  if (value instanceof ListValue) return 'list'
  if (value instanceof MapValue) return 'map'
  if (value instanceof Uint) return 'uint'
  if (value instanceof Uint8Array) return 'bytes'
  if (value instanceof Timestamp) return 'google.protobuf.Timestamp'
  if (value instanceof Duration) return 'google.protobuf.Duration'
  if (value instanceof Optional) return 'optional_type'
  return value instanceof OpaqueValue ? value.typeName : 'type'
}

/** CEL's equality: numbers compare across types, values of different types are just not equal. */
export function equal(a: Value, b: Value): boolean {
  spend(0.1)
  if (typeof a === 'string') {
    if (typeof b !== 'string' || a.length !== b.length) return false
    spendOnText(a.length / 10)
    return a === b
  }
  if (a === b) return true
  if (isNumber(a)) return isNumber(b) && compareNumbers(a, b) === 0
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof ListValue) return b instanceof ListValue && a.equals(b)
  if (a instanceof MapValue) return b instanceof MapValue && a.equals(b)
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0
  if (a instanceof Timestamp) return b instanceof Timestamp && a.nanos === b.nanos
  if (a instanceof Duration) return b instanceof Duration && a.nanos === b.nanos
  if (a instanceof TypeValue) return b instanceof TypeValue && a.name === b.name
  if (a instanceof Optional) {
    if (!(b instanceof Optional)) return false
    return a.value === undefined || b.value === undefined ? a.value === b.value : equal(a.value, b.value)
  }
  return a instanceof OpaqueValue && b instanceof OpaqueValue && a.typeName === b.typeName && a.equals(b)
}

export type Numeric = bigint | number | Uint

export function isNumber(value: Value): value is Numeric {
  return typeof value === 'bigint' || typeof value === 'number' || value instanceof Uint
}

/** Below, at or above zero; NaN where one of them is NaN. JavaScript compares bigints with numbers exactly. */
export function compareNumbers(a: Numeric, b: Numeric): number {
  const [left, right] = [a instanceof Uint ? a.value : a, b instanceof Uint ? b.value : b]
  if (left < right) return -1
  if (left > right) return 1
  return Number.isNaN(left) || Number.isNaN(right) ? Number.NaN : 0
}
