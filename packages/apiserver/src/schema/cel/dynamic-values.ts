/** JSON values as CEL sees them where no schema says what they are: read where they lie, nothing is copied. */
import { isObject, type JsonObject } from '../../patch/json-value.ts'
import { EvaluationError, ListValue, MapValue, type Value } from './values.ts'
import { keysOf } from './work.ts'

export function toDynamic(json: unknown): Value {
  if (json === null || json === undefined) return null
  if (Array.isArray(json)) return new DynamicList(json)
  if (isObject(json)) return new DynamicMap(json)
  if (typeof json === 'number') return Number.isSafeInteger(json) ? BigInt(json) : json
  return json as string | boolean
}

class DynamicMap extends MapValue {
  readonly json: JsonObject
  constructor(json: JsonObject) {
    super()
    this.json = json
  }
  override get size(): number {
    return keysOf(this.json).length
  }
  override find(key: Value): Value | undefined {
    if (typeof key !== 'string') throw new EvaluationError('no such overload')
    return Object.hasOwn(this.json, key) && this.json[key] !== undefined ? toDynamic(this.json[key]) : undefined
  }
  override *keys(): Generator<Value> {
    yield* keysOf(this.json)
  }
}

class DynamicList extends ListValue {
  readonly json: readonly unknown[]
  constructor(json: readonly unknown[]) {
    super()
    this.json = json
  }
  override get length(): number {
    return this.json.length
  }
  override at(index: number): Value {
    return toDynamic(this.json[index])
  }
}

/** Values that are made when an expression first asks for them, and once. */
export class LazyMap extends MapValue {
  readonly #makers: ReadonlyMap<string, () => Value>
  readonly #made = new Map<string, Value | EvaluationError>()
  constructor(makers: ReadonlyMap<string, () => Value>) {
    super()
    this.#makers = makers
  }
  override get size(): number {
    return this.#makers.size
  }
  override find(key: Value): Value | undefined {
    if (typeof key !== 'string') throw new EvaluationError('no such overload')
    let made = this.#made.get(key)
    if (made === undefined) {
      const make = this.#makers.get(key)
      if (!make) return undefined
      try {
        made = make()
      } catch (error) {
        if (!(error instanceof EvaluationError)) throw error
        made = error
      }
      this.#made.set(key, made)
    }
    if (made instanceof EvaluationError) throw made
    return made
  }
  override *keys(): Generator<Value> {
    yield* this.#makers.keys()
  }
}
