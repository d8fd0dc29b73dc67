/** What Kubernetes and CEL's extensions add for lists, sets, maps and optional values. */

import type { Frame } from './frame.ts'
import { type Declaration, declare, global, member, sizeOf, wholeCost } from './functions.ts'
import { compareText, contains, int, order, uint } from './functions-operators.ts'
import { STRING_INDEX } from './functions-strings.ts'
import { durationOf } from './time.ts'
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  INT,
  listOf,
  mapOf,
  optionalOf,
  param,
  STRING,
  TIMESTAMP,
  type Type,
  UINT,
} from './types.ts'
import {
  ArrayList,
  compareNumbers,
  Duration,
  type EntryMap,
  EvaluationError,
  equal,
  isNumber,
  ListValue,
  MapValue,
  NONE,
  Optional,
  Timestamp,
  Uint,
  type Value,
} from './values.ts'

const A = param('A')
const V = param('V')

const COMPARABLE: ReadonlyArray<readonly [name: string, type: Type]> = [
  ['int', INT],
  ['uint', UINT],
  ['double', DOUBLE],
  ['bool', BOOL],
  ['duration', DURATION],
  ['timestamp', TIMESTAMP],
  ['string', STRING],
  ['bytes', BYTES],
]

const cost = ([list]: readonly Value[]): number => wholeCost(list as Value)

function compare(a: Value, b: Value): number {
  if (isNumber(a) && isNumber(b)) return compareNumbers(a, b)
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b)
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b)
  if (a instanceof Timestamp && b instanceof Timestamp) return order(a.nanos, b.nanos)
  if (a instanceof Duration && b instanceof Duration) return order(a.nanos, b.nanos)
  throw new EvaluationError('no such overload')
}

function isSorted(list: ListValue): boolean {
  let previous: Value | undefined
  for (const item of list) {
    if (previous !== undefined && compare(previous, item) > 0) return false
    previous = item
  }
  return true
}

function extreme(list: ListValue, name: string, sign: number): Value {
  let found: Value | undefined
  for (const item of list) if (found === undefined || compare(item, found) * sign > 0) found = item
  if (found === undefined) throw new EvaluationError(`${name} called on empty list`)
  return found
}

const SUMS: ReadonlyArray<readonly [name: string, type: Type, sum: (list: ListValue) => Value]> = [
  ['int', INT, (list) => [...list].reduce<bigint>((sum, item) => int(sum + (item as bigint)), 0n)],
  ['uint', UINT, (list) => [...list].reduce<Uint>((sum, item) => uint(sum.value + (item as Uint).value), new Uint(0n))],
  ['double', DOUBLE, (list) => [...list].reduce<number>((sum, item) => sum + (item as number), 0)],
  [
    'duration',
    DURATION,
    (list) =>
      [...list].reduce<Duration>((sum, item) => durationOf(sum.nanos + (item as Duration).nanos), new Duration(0n)),
  ],
]

function position(list: ListValue, wanted: Value, step: 1 | -1): bigint {
  for (let index = step > 0 ? 0 : list.length - 1; index >= 0 && index < list.length; index += step) {
    if (equal(list.at(index), wanted)) return BigInt(index)
  }
  return -1n
}

const lists = [
  declare(
    'isSorted',
    ...COMPARABLE.map(([name, type]) =>
      member(`list_${name}_is_sorted_bool`, [listOf(type)], BOOL, (_, list: ListValue) => isSorted(list), { cost }),
    ),
  ),
  declare(
    'sum',
    ...SUMS.map(([name, type, sum]) =>
      member(`list_${name}_sum_${name}`, [listOf(type)], type, (_, list: ListValue) => sum(list), { cost }),
    ),
  ),
  ...(['max', 'min'] as const).map((name) =>
    declare(
      name,
      ...COMPARABLE.map(([of, type]) =>
        member(
          `list_${of}_${name}_${of}`,
          [listOf(type)],
          type,
          (_, list: ListValue) => extreme(list, name, name === 'max' ? 1 : -1),
          { cost },
        ),
      ),
    ),
  ),
  declare(
    'indexOf',
    member('list_a_index_of_int', [listOf(A), A], INT, (_, list: ListValue, item: Value) => position(list, item, 1), {
      cost,
    }),
    ...STRING_INDEX.indexOf,
  ),
  declare(
    'lastIndexOf',
    member(
      'list_a_last_index_of_int',
      [listOf(A), A],
      INT,
      (_, list: ListValue, item: Value) => position(list, item, -1),
      { cost },
    ),
    ...STRING_INDEX.lastIndexOf,
  ),
]

const LIST = listOf(A)

function containsAll(list: ListValue, wanted: ListValue): boolean {
  for (const item of wanted) if (!contains(list, item)) return false
  return true
}

function intersects(a: ListValue, b: ListValue): boolean {
  for (const item of a) if (contains(b, item)) return true
  return false
}

const product =
  (factor: number) =>
  ([a, b]: readonly Value[]): number =>
    1 + Math.floor(sizeOf(a as Value) * sizeOf(b as Value) * factor)

const sets = [
  declare(
    'sets.contains',
    global('list_sets_contains_list', [LIST, LIST], BOOL, (_, a: ListValue, b: ListValue) => containsAll(a, b), {
      cost: product(1),
    }),
  ),
  declare(
    'sets.equivalent',
    global(
      'list_sets_equivalent_list',
      [LIST, LIST],
      BOOL,
      (_, a: ListValue, b: ListValue) => containsAll(a, b) && containsAll(b, a),
      { cost: product(2) },
    ),
  ),
  declare(
    'sets.intersects',
    global('list_sets_intersects_list', [LIST, LIST], BOOL, (_, a: ListValue, b: ListValue) => intersects(a, b), {
      cost: product(1),
    }),
  ),
]

const OPTIONAL = optionalOf(V)

function isZero(value: Value): boolean {
  if (value === null || value === false || value === '' || value === 0 || value === 0n) return true
  if (value instanceof Uint) return value.value === 0n
  if (value instanceof ListValue || value instanceof Uint8Array) return value.length === 0
  if (value instanceof MapValue) return value.size === 0
  return value instanceof Duration && value.nanos === 0n
}

function unwrapped(list: ListValue): ArrayList {
  const items: Value[] = []
  for (const item of list) if (item instanceof Optional && item.value !== undefined) items.push(item.value)
  return new ArrayList(items)
}

const optionals = [
  declare(
    'optional.of',
    global('optional_of', [V], OPTIONAL, (_, value: Value) => new Optional(value)),
  ),
  declare(
    'optional.ofNonZeroValue',
    global('optional_ofNonZeroValue', [V], OPTIONAL, (_, value: Value) => (isZero(value) ? NONE : new Optional(value))),
  ),
  declare(
    'optional.none',
    global('optional_none', [], OPTIONAL, () => NONE),
  ),
  declare(
    'value',
    member('optional_value', [OPTIONAL], V, (_, { value }: Optional) => {
      if (value === undefined) throw new EvaluationError('optional.none() dereference')
      return value
    }),
  ),
  declare(
    'hasValue',
    member('optional_hasValue', [OPTIONAL], BOOL, (_, { value }: Optional) => value !== undefined),
  ),
  declare(
    'or',
    member('optional_or_optional', [OPTIONAL, OPTIONAL], OPTIONAL, (_, a: Optional, b: Optional) =>
      a.value === undefined ? b : a,
    ),
  ),
  declare(
    'orValue',
    member('optional_orValue_value', [OPTIONAL, V], V, (_, a: Optional, b: Value) =>
      a.value === undefined ? b : a.value,
    ),
  ),
  declare(
    'first',
    member('list_first', [listOf(V)], OPTIONAL, (_, list: ListValue) =>
      list.length ? new Optional(list.at(0)) : NONE,
    ),
  ),
  declare(
    'last',
    member('list_last', [listOf(V)], OPTIONAL, (_, list: ListValue) =>
      list.length ? new Optional(list.at(list.length - 1)) : NONE,
    ),
  ),
  declare(
    'optional.unwrap',
    global('optional_unwrap', [listOf(OPTIONAL)], listOf(V), (_, list: ListValue) => unwrapped(list)),
  ),
  declare(
    'unwrapOpt',
    member('optional_unwrapOpt', [listOf(OPTIONAL)], listOf(V), (_, list: ListValue) => unwrapped(list)),
  ),
]

const KEY = param('K')
const MAP = mapOf(KEY, V)

/** For the macros that make maps. The accumulator belongs to them alone, so it grows in place. */
function insertInto(frame: Frame, map: EntryMap, key: Value, value: Value): EntryMap {
  frame.allocate(1)
  if (!map.insert(key, value)) throw new EvaluationError(`insert failed: key ${keyName(key)} already exists`)
  return map
}

function keyName(key: Value): string {
  return key instanceof Uint ? String(key.value) : String(key as string | bigint | boolean)
}

const insertion = declare(
  'cel.@mapInsert',
  global('@mapInsert_map_key_value', [MAP, KEY, V], MAP, insertInto),
  global('@mapInsert_map_map', [MAP, MAP], MAP, (frame, map: EntryMap, other: MapValue) => {
    for (const key of other.keys()) insertInto(frame, map, key, other.find(key) as Value)
    return map
  }),
)

export const LIST_FUNCTIONS: readonly Declaration[] = [...lists, ...sets, ...optionals, insertion]
