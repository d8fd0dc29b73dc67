/** Reads values of stored objects as CEL sees them, by their schema, where they lie: nothing is copied. */
import { isObject, type JsonObject } from '../../patch/json-value.ts'
import { canonicalJson } from '../canonical-json.ts'
import { formatCheck } from '../format.ts'
import { isInteger } from '../go-value.ts'
import { nodeOf, type SchemaNode } from '../node.ts'
import { escapeProperty, unescapeProperty } from './property-name.ts'
import { withObjectMeta } from './schema-types.ts'
import { parseDate, parseFieldDuration, parseTimestamp } from './time.ts'
import { EvaluationError, equal, ListValue, MapValue, OpaqueValue, type Value } from './values.ts'
import { keysOf, spend, spendOnText } from './work.ts'

function invalid(said: string): EvaluationError {
  return new EvaluationError(said)
}

/** Text that stands for a value in sets and as a key. */
function textOf(json: unknown): string {
  const text = canonicalJson(json)
  spend(1 + text.length / 50)
  return text
}

/** Deep equality, at a price. */
function equalJson(a: unknown, b: unknown): boolean {
  spend(0.1)
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => equalJson(item, b[index]))
  }
  if (isObject(a)) {
    if (!isObject(b) || keysOf(a).length !== keysOf(b).length) return false
    return keysOf(a).every((key) => Object.hasOwn(b, key) && equalJson(a[key], b[key]))
  }
  if (typeof a === 'string') spendOnText(a.length / 10)
  return a === b
}

const isBase64 = formatCheck('byte') as (text: string) => boolean

function badByte(text: string): string {
  const at = text.search(/[^A-Za-z0-9+/=]/)
  return `illegal base64 data at input byte ${at < 0 ? text.length - (text.length % 4) : at}`
}

function goType(json: unknown): string {
  if (Array.isArray(json)) return '[]interface {}'
  if (typeof json === 'number') return isInteger(json) ? 'int64' : 'float64'
  if (typeof json === 'boolean') return 'bool'
  return typeof json === 'string' ? 'string' : 'map[string]interface {}'
}

/** The value of a JSON value that is described by `node`. */
export function toValue(json: unknown, node: SchemaNode): Value {
  const { schema } = node
  if (json === null) {
    if (schema.nullable) return null
    throw invalid('invalid data, got null for schema with nullable=false')
  }
  if (schema['x-kubernetes-int-or-string']) {
    if (typeof json === 'string') return json
    if (typeof json === 'number' && isInteger(json)) return BigInt(json)
    throw invalid('invalid data, expected XIntOrString value to be either a string or integer')
  }
  switch (schema.type) {
    case 'object':
      if (isObject(json)) return objectValue(json, node)
      throw invalid('invalid data, expected a map for the provided schema with type=object')
    case 'array':
      if (Array.isArray(json) && node.items) return listValue(json, node, node.items)
      throw invalid('invalid data, expected an array for the provided schema with type=array')
    case 'string':
      return stringValue(json, schema.format)
    case 'number':
      if (typeof json === 'number') return json
      throw invalid(`invalid data, expected float, got ${goType(json)}`)
    case 'integer':
      if (typeof json === 'number' && isInteger(json)) return BigInt(json)
      throw invalid(`invalid data, expected int, got ${goType(json)}`)
    case 'boolean':
      if (typeof json === 'boolean') return json
      throw invalid(`invalid data, expected bool, got ${goType(json)}`)
    default:
      if (schema['x-kubernetes-preserve-unknown-fields']) return new UntypedValue(json)
      throw invalid('invalid type, expected object, array, number, integer, boolean or string')
  }
}

/** `self` of a rule at the root of a resource. */
export function toResourceValue(json: unknown, node: SchemaNode): Value {
  return toValue(json, nodeOf(withObjectMeta(node.schema)))
}

function stringValue(json: unknown, format: string | undefined): Value {
  if (typeof json !== 'string') throw invalid(`invalid data, expected string, got ${goType(json)}`)
  switch (format) {
    case 'duration':
      return parseFieldDuration(json) ?? fail(`Invalid duration ${json}: unable to parse ${json} as duration`)
    case 'date':
      return parseDate(json) ?? fail(`Invalid date formatted string ${json}`)
    case 'date-time':
      return parseTimestamp(json) ?? fail(`Invalid date-time formatted string ${json}`)
    case 'byte':
      return isBase64(json)
        ? Buffer.from(json, 'base64')
        : fail(`Invalid byte formatted string ${json}: ${badByte(json)}`)
    default:
      return json
  }
}

function fail(said: string): never {
  throw invalid(said)
}

function objectValue(json: JsonObject, node: SchemaNode): MapValue {
  if (node.schema['x-kubernetes-embedded-resource']) return new StructValue(json, nodeOf(withObjectMeta(node.schema)))
  return node.schema.properties ? new StructValue(json, node) : new DictionaryValue(json, node)
}

function listValue(json: readonly unknown[], node: SchemaNode, items: SchemaNode): ListValue {
  const type = node.schema['x-kubernetes-list-type']
  if (type === 'map') return new KeyedList(json, items, node.schema['x-kubernetes-list-map-keys'] ?? [])
  return type === 'set' ? new SetList(json, items) : new JsonList(json, items)
}

/** A value without a schema: it can be compared, and nothing else. */
class UntypedValue extends OpaqueValue {
  override readonly typeName = 'unknown'
  readonly json: unknown
  constructor(json: unknown) {
    super()
    this.json = json
  }
  override equals(other: OpaqueValue): boolean {
    return other instanceof UntypedValue && equalJson(this.json, other.json)
  }
}

/** An object with declared properties; a null member is an absent one. */
class StructValue extends MapValue {
  readonly json: JsonObject
  readonly node: SchemaNode
  constructor(json: JsonObject, node: SchemaNode) {
    super()
    this.json = json
    this.node = node
  }
  override get size(): number {
    return keysOf(this.json).length
  }
  override find(key: Value): Value | undefined {
    if (typeof key !== 'string') throw new EvaluationError('no such overload')
    const name = unescapeProperty(key)
    if (name === undefined || !Object.hasOwn(this.json, name)) return undefined
    const member = this.json[name]
    const child = member === null ? undefined : this.node.property(name)
    return child && toValue(member, child)
  }
  override *keys(): Generator<Value> {
    for (const name of keysOf(this.json)) if (this.node.property(name)) yield escapeProperty(name) ?? name
  }
  /** Members that no schema describes are compared as they are. */
  override equals(other: MapValue): boolean {
    if (this.size !== other.size) return false
    for (const name of keysOf(this.json)) {
      spend(0.5)
      if (this.node.property(name)) {
        const key = escapeProperty(name) ?? name
        const [mine, theirs] = [this.find(key), other.find(key)]
        if (mine === undefined || theirs === undefined ? mine !== theirs : !equal(mine, theirs)) return false
      } else if (other instanceof StructValue && Object.hasOwn(other.json, name)) {
        if (!equalJson(this.json[name], other.json[name])) return false
      }
    }
    return true
  }
}

/** An object whose members are all of one schema. */
class DictionaryValue extends MapValue {
  readonly json: JsonObject
  readonly node: SchemaNode
  constructor(json: JsonObject, node: SchemaNode) {
    super()
    this.json = json
    this.node = node
  }
  override get size(): number {
    return keysOf(this.json).length
  }
  override find(key: Value): Value | undefined {
    if (typeof key !== 'string') throw new EvaluationError('no such overload')
    const { additional } = this.node
    return additional && Object.hasOwn(this.json, key) ? toValue(this.json[key], additional) : undefined
  }
  override *keys(): Generator<Value> {
    if (this.node.additional) yield* keysOf(this.json)
  }
}

class JsonList extends ListValue {
  readonly json: readonly unknown[]
  readonly node: SchemaNode
  constructor(json: readonly unknown[], node: SchemaNode) {
    super()
    this.json = json
    this.node = node
  }
  override get length(): number {
    return this.json.length
  }
  override at(index: number): Value {
    return toValue(this.json[index], this.node)
  }
}

/** What a list that an expression made holds, as JSON; undefined where it holds what no object can. */
function jsonItems(list: ListValue): readonly unknown[] | undefined {
  if (list instanceof JsonList) return list.json
  const items: unknown[] = []
  for (const value of list) {
    spend(0.1)
    const json = jsonOf(value)
    if (json === undefined) return undefined
    items.push(json)
  }
  return items
}

function jsonOf(value: Value): unknown {
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  return value instanceof StructValue || value instanceof DictionaryValue || value instanceof JsonList
    ? value.json
    : undefined
}

/** `x-kubernetes-list-type: set`: equal whatever the order; joined without repetitions. */
class SetList extends JsonList {
  #texts: Set<string> | undefined
  get texts(): Set<string> {
    this.#texts ??= new Set(this.json.map((item) => textOf(item)))
    return this.#texts
  }
  override equals(other: ListValue): boolean {
    if (this.length !== other.length) return false
    const items = jsonItems(other)
    return items ? items.every((item) => this.texts.has(textOf(item))) : super.equals(other)
  }
  override concat(other: ListValue): ListValue | undefined {
    const items = jsonItems(other)
    if (!items) return undefined
    const texts = new Set(this.texts)
    const added = items.filter((item) => {
      const text = textOf(item)
      return texts.has(text) ? false : texts.add(text)
    })
    return new SetList([...this.json, ...added], this.node)
  }
}

/** `x-kubernetes-list-type: map`: equal whatever the order; joined by key, the later item in the place of the earlier. */
class KeyedList extends JsonList {
  readonly keys: readonly string[]
  #byKey: Map<string, unknown> | undefined
  constructor(json: readonly unknown[], node: SchemaNode, keys: readonly string[]) {
    super(json, node)
    this.keys = keys
  }
  get byKey(): Map<string, unknown> {
    this.#byKey ??= new Map(this.json.map((item) => [this.keyOf(item), item]))
    return this.#byKey
  }
  keyOf(item: unknown): string {
    if (!isObject(item)) return textOf(item)
    return textOf(this.keys.map((key) => (Object.hasOwn(item, key) ? [item[key]] : [])))
  }
  override equals(other: ListValue): boolean {
    if (this.length !== other.length) return false
    const items = jsonItems(other)
    if (!items) return super.equals(other)
    return items.every((item, index) => {
      const mine = this.byKey.get(this.keyOf(item))
      return mine !== undefined && equal(toValue(mine, this.node), other.at(index))
    })
  }
  override concat(other: ListValue): ListValue | undefined {
    const added = jsonItems(other)
    if (!added) return undefined
    const items = [...this.json]
    const positions = new Map(items.map((item, position) => [this.keyOf(item), position]))
    for (const item of added) items[positions.get(this.keyOf(item)) ?? items.length] = item
    return new KeyedList(items, this.node, this.keys)
  }
}
