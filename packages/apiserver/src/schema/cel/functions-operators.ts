/** The operators of CEL, by the names that the parser gives them. */

import { elementAt, optionalElement } from './element.ts'
import type { Frame } from './frame.ts'
import { comparisonCost, type Declaration, declare, global, type Overload, sizeOf } from './functions.ts'
import { durationOf, timestampOf } from './time.ts'
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
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
  type Duration,
  EvaluationError,
  equal,
  type ListValue,
  type MapValue,
  type Numeric,
  noSuchOverload,
  type Timestamp,
  Uint,
  type Value,
} from './values.ts'

const A = param('A')
const B = param('B')
const LIST = listOf(A)
const MAP = mapOf(A, B)

const MAXIMUM_INT = 0x7fff_ffff_ffff_ffffn
const MINIMUM_INT = -0x8000_0000_0000_0000n
const MAXIMUM_UINT = 0xffff_ffff_ffff_ffffn

export function int(value: bigint): bigint {
  if (value > MAXIMUM_INT || value < MINIMUM_INT) throw new EvaluationError('integer overflow')
  return value
}

export function uint(value: bigint): Uint {
  if (value > MAXIMUM_UINT || value < 0n) throw new EvaluationError('unsigned integer overflow')
  return new Uint(value)
}

function dividable(divisor: bigint, said: string): void {
  if (divisor === 0n) throw new EvaluationError(said)
}

function divide(a: bigint, b: bigint): bigint {
  dividable(b, 'division by zero')
  return int(a / b)
}

function modulo(a: bigint, b: bigint): bigint {
  dividable(b, 'modulus by zero')
  return a % b
}

const both = (type: Type): Type[] => [type, type]

const addition = declare(
  '_+_',
  global('add_bytes', both(BYTES), BYTES, (_, a: Uint8Array, b: Uint8Array) => Buffer.concat([a, b]), {
    cost: joinCost,
  }),
  global('add_double', both(DOUBLE), DOUBLE, (_, a: number, b: number) => a + b),
  global('add_duration_duration', both(DURATION), DURATION, (_, a: Duration, b: Duration) =>
    durationOf(a.nanos + b.nanos),
  ),
  global('add_duration_timestamp', [DURATION, TIMESTAMP], TIMESTAMP, (_, a: Duration, b: Timestamp) =>
    timestampOf(a.nanos + b.nanos, b.offset),
  ),
  global('add_timestamp_duration', [TIMESTAMP, DURATION], TIMESTAMP, (_, a: Timestamp, b: Duration) =>
    timestampOf(a.nanos + b.nanos, a.offset),
  ),
  global('add_int64', both(INT), INT, (_, a: bigint, b: bigint) => int(a + b)),
  global('add_list', both(LIST), LIST, addLists),
  global('add_string', both(STRING), STRING, (_, a: string, b: string) => a + b, { cost: joinCost }),
  global('add_uint64', both(UINT), UINT, (_, a: Uint, b: Uint) => uint(a.value + b.value)),
)

function joinCost([a, b]: readonly Value[]): number {
  return Math.ceil((sizeOf(a as Value) + sizeOf(b as Value)) * 0.1)
}

function addLists(frame: Frame, a: ListValue, b: ListValue): ListValue {
  if (a.length === 0 && !(a instanceof ArrayList)) return a.concat(b) ?? b
  frame.allocate(a.length + b.length)
  return a.concat(b) ?? new ArrayList([...a, ...b])
}

const subtraction = declare(
  '_-_',
  global('subtract_double', both(DOUBLE), DOUBLE, (_, a: number, b: number) => a - b),
  global('subtract_duration_duration', both(DURATION), DURATION, (_, a: Duration, b: Duration) =>
    durationOf(a.nanos - b.nanos),
  ),
  global('subtract_int64', both(INT), INT, (_, a: bigint, b: bigint) => int(a - b)),
  global('subtract_timestamp_duration', [TIMESTAMP, DURATION], TIMESTAMP, (_, a: Timestamp, b: Duration) =>
    timestampOf(a.nanos - b.nanos, a.offset),
  ),
  global('subtract_timestamp_timestamp', both(TIMESTAMP), DURATION, (_, a: Timestamp, b: Timestamp) =>
    durationOf(a.nanos - b.nanos),
  ),
  global('subtract_uint64', both(UINT), UINT, (_, a: Uint, b: Uint) => uint(a.value - b.value)),
)

const multiplication = declare(
  '_*_',
  global('multiply_double', both(DOUBLE), DOUBLE, (_, a: number, b: number) => a * b),
  global('multiply_int64', both(INT), INT, (_, a: bigint, b: bigint) => int(a * b)),
  global('multiply_uint64', both(UINT), UINT, (_, a: Uint, b: Uint) => uint(a.value * b.value)),
)

const division = declare(
  '_/_',
  global('divide_double', both(DOUBLE), DOUBLE, (_, a: number, b: number) => a / b),
  global('divide_int64', both(INT), INT, (_, a: bigint, b: bigint) => divide(a, b)),
  global('divide_uint64', both(UINT), UINT, (_, a: Uint, b: Uint) => uint(divide(a.value, b.value))),
)

const remainder = declare(
  '_%_',
  global('modulo_int64', both(INT), INT, (_, a: bigint, b: bigint) => modulo(a, b)),
  global('modulo_uint64', both(UINT), UINT, (_, a: Uint, b: Uint) => uint(modulo(a.value, b.value))),
)

const negation = declare(
  '-_',
  global('negate_double', [DOUBLE], DOUBLE, (_, a: number) => -a),
  global('negate_int64', [INT], INT, (_, a: bigint) => int(-a)),
)

const not = declare(
  '!_',
  global('logical_not', [BOOL], BOOL, (_, a: boolean) => !a),
)

const NUMBERS: ReadonlyArray<readonly [id: string, type: Type]> = [
  ['int64', INT],
  ['uint64', UINT],
  ['double', DOUBLE],
]

function orderOf(a: Numeric, b: Numeric): number {
  const order = compareNumbers(a, b)
  if (Number.isNaN(order)) throw new EvaluationError('NaN values cannot be ordered')
  return order
}

type Holds = (order: number) => boolean

function comparison(name: string, prefix: string, holds: Holds): Declaration {
  const numbers = NUMBERS.flatMap(([left, leftType]) =>
    NUMBERS.map(([right, rightType]) =>
      global(
        left === right ? `${prefix}_${left}` : `${prefix}_${left}_${right}`,
        [leftType, rightType],
        BOOL,
        (_, a: Numeric, b: Numeric) => holds(orderOf(a, b)),
      ),
    ),
  )
  return declare(
    name,
    global(`${prefix}_bool`, both(BOOL), BOOL, (_, a: boolean, b: boolean) => holds(Number(a) - Number(b))),
    ...numbers,
    global(`${prefix}_string`, both(STRING), BOOL, (_, a: string, b: string) => holds(compareText(a, b)), {
      cost: comparisonCost,
    }),
    global(`${prefix}_bytes`, both(BYTES), BOOL, (_, a: Uint8Array, b: Uint8Array) => holds(Buffer.compare(a, b)), {
      cost: comparisonCost,
    }),
    global(`${prefix}_timestamp`, both(TIMESTAMP), BOOL, (_, a: Timestamp, b: Timestamp) =>
      holds(order(a.nanos, b.nanos)),
    ),
    global(`${prefix}_duration`, both(DURATION), BOOL, (_, a: Duration, b: Duration) => holds(order(a.nanos, b.nanos))),
  )
}

export function order(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** By bytes of UTF-8, as Go compares. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0
  // oxlint-disable-next-line no-control-regex -- ASCII, where UTF-16 has the same order
  if (/^[\x00-\x7f]*$/.test(a) && /^[\x00-\x7f]*$/.test(b)) return a < b ? -1 : 1
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** Equality of Kubernetes' own types has one price. */
function equalityCost(args: readonly Value[]): number {
  const [a] = args
  return typeof a === 'object' && a !== null && 'typeName' in a ? 1 : comparisonCost(args)
}

/** Values that cannot be compared, such as those that do not fit their schema, differ. */
function differs(a: Value, b: Value): boolean {
  try {
    return !equal(a, b)
  } catch (error) {
    if (error instanceof EvaluationError) return true
    throw error
  }
}

const equality = [
  declare(
    '_==_',
    global('equals', both(A), BOOL, (_, a: Value, b: Value) => equal(a, b), { cost: equalityCost }),
  ),
  declare(
    '_!=_',
    global('not_equals', both(A), BOOL, (_, a: Value, b: Value) => differs(a, b), { cost: comparisonCost }),
  ),
]

const membership = declare(
  '@in',
  global('in_list', [A, LIST], BOOL, (_, a: Value, list: ListValue) => contains(list, a), {
    cost: ([, list]) => sizeOf(list as Value),
  }),
  global('in_map', [A, MAP], BOOL, (_, key: Value, map: MapValue) => map.find(key) !== undefined),
)

export function contains(list: ListValue, wanted: Value): boolean {
  for (const item of list) if (equal(item, wanted)) return true
  return false
}

const OPTIONAL_LIST = optionalOf(LIST)
const OPTIONAL_MAP = optionalOf(MAP)

const indexing = [
  declare(
    '_[_]',
    global('index_list', [LIST, INT], A, (_, list: ListValue, index: Value) => elementAt(list, index)),
    global('index_map', [MAP, A], B, (_, map: MapValue, key: Value) => elementAt(map, key)),
    global('optional_list_index_int', [OPTIONAL_LIST, INT], optionalOf(A), (_, of: Value, key: Value) =>
      optionalElement(of, key),
    ),
    global('optional_map_index_value', [OPTIONAL_MAP, A], optionalOf(B), (_, of: Value, key: Value) =>
      optionalElement(of, key),
    ),
  ),
  declare(
    '_[?_]',
    global('list_optindex_optional_int', [LIST, INT], optionalOf(A), (_, of: Value, key: Value) =>
      optionalElement(of, key),
    ),
    global('optional_list_optindex_optional_int', [OPTIONAL_LIST, INT], optionalOf(A), (_, of: Value, key: Value) =>
      optionalElement(of, key),
    ),
    global('map_optindex_optional_value', [MAP, A], optionalOf(B), (_, of: Value, key: Value) =>
      optionalElement(of, key),
    ),
    global('optional_map_optindex_optional_value', [OPTIONAL_MAP, A], optionalOf(B), (_, of: Value, key: Value) =>
      optionalElement(of, key),
    ),
  ),
]

/** `a.?b`; the checker gives it its type. */
export const OPTIONAL_SELECT: Overload = global(
  'select_optional_field',
  [DYN, STRING],
  optionalOf(A),
  (_, of: Value, key: Value) => optionalElement(of, key),
)

const logic = [
  // Evaluated by their own rules: these serve the checker and the estimate.
  declare('_&&_', global('logical_and', both(BOOL), BOOL, never)),
  declare('_||_', global('logical_or', both(BOOL), BOOL, never)),
  declare('_?_:_', global('conditional', [BOOL, A, A], A, never)),
  declare('@not_strictly_false', global('not_strictly_false', [BOOL], BOOL, never)),
]

function never(): never {
  throw noSuchOverload()
}

export const OPERATORS: readonly Declaration[] = [
  addition,
  subtraction,
  multiplication,
  division,
  remainder,
  negation,
  not,
  comparison('_<_', 'less', (ordered) => ordered < 0),
  comparison('_<=_', 'less_equals', (ordered) => ordered <= 0),
  comparison('_>_', 'greater', (ordered) => ordered > 0),
  comparison('_>=_', 'greater_equals', (ordered) => ordered >= 0),
  ...equality,
  membership,
  ...indexing,
  ...logic,
]
