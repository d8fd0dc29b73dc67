/** Parts of lists, maps and objects. */
import { EvaluationError, ListValue, MapValue, NONE, Optional, typeName, Uint, type Value } from './values.ts'

/** Undefined where there is none; values without parts have none at all. */
export function findElement(of: Value, key: Value): Value | undefined {
  if (of instanceof MapValue) return of.find(key)
  if (!(of instanceof ListValue)) return undefined
  // The same index as int, uint or double names the same item.
  const index = key instanceof Uint ? Number(key.value) : typeof key === 'bigint' ? Number(key) : key
  if (typeof index !== 'number') throw new EvaluationError(`unsupported index type '${typeName(key)}' in list`)
  if (!Number.isInteger(index)) throw new EvaluationError(`unsupported index value ${index} in list`)
  return index >= 0 && index < of.length ? of.at(index) : undefined
}

export function elementAt(of: Value, key: Value): Value {
  const found = findElement(of, key)
  if (found !== undefined) return found
  throw new EvaluationError(`${of instanceof ListValue ? 'index out of bounds' : 'no such key'}: ${show(key)}`)
}

/** An optional of what is there; of a part of an optional too. */
export function optionalElement(of: Value, key: Value): Optional {
  const inner = of instanceof Optional ? of.value : of
  const found = inner === undefined ? undefined : findElement(inner, key)
  return found === undefined ? NONE : new Optional(found)
}

function show(value: Value): string {
  return value instanceof Uint ? String(value.value) : typeof value === 'object' ? 'unsupported key' : String(value)
}
