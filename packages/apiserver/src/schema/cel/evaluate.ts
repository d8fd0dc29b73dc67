/**
 * Turns checked expressions into functions. Each step adds to the cost of the evaluation, in the units in which
 * Kubernetes counts, before it is taken: a rule that runs away stops when it has used up what one may.
 */
import type { CallExpr, Const, Expr, Fold, Select } from './ast.ts'
import { elementAt, findElement, optionalElement } from './element.ts'
import type { Frame } from './frame.ts'
import { hasType, type Overload } from './functions.ts'
import type { Type } from './types.ts'
import {
  ArrayList,
  EntryMap,
  EvaluationError,
  isNumber,
  ListValue,
  MapValue,
  noSuchOverload,
  Optional,
  typeName,
  type Value,
} from './values.ts'
import { spendOnText } from './work.ts'

export type Evaluate = (frame: Frame) => Value

/** Variables by name, each in a slot of the frame. */
type Slots = ReadonlyMap<string, number>

export interface Plan {
  evaluate: Evaluate
  /** How many slots the frame needs. */
  slots: number
}

/** @throws EvaluationError where a literal can never be converted */
export function plan(expr: Expr, variables: readonly string[]): Plan {
  const planner = new Planner(variables.length)
  const evaluate = planner.plan(expr, new Map(variables.map((name, slot) => [name, slot])))
  return { evaluate, slots: planner.slots }
}

class Planner {
  slots: number
  constructor(slots: number) {
    this.slots = slots
  }

  plan(expr: Expr, scope: Slots): Evaluate {
    switch (expr.kind) {
      case 'const':
        return constant(expr.value)
      case 'ident':
        return expr.value === undefined ? variable(scope.get(expr.name) as number) : constant(expr.value)
      case 'select':
        return this.#select(expr, scope)
      case 'call':
        return this.#call(expr, scope)
      case 'list':
        return this.#list(expr.items, scope)
      case 'map':
        return this.#map(expr.entries, scope)
      default:
        return this.#fold(expr, scope)
    }
  }

  #select({ operand, field, test }: Select, scope: Slots): Evaluate {
    const of = this.plan(operand, scope)
    if (test) {
      return (frame) => {
        const value = of(frame)
        const map = value instanceof Optional ? value.value : value
        return map !== undefined && findElement(map, field) !== undefined
      }
    }
    return (frame) => {
      const value = of(frame)
      frame.charge(1)
      return value instanceof Optional ? optionalElement(value, field) : elementAt(value, field)
    }
  }

  #call(expr: CallExpr, scope: Slots): Evaluate {
    const args = (expr.target ? [expr.target, ...expr.args] : expr.args).map((arg) => this.plan(arg, scope))
    const [a, b, c] = args as [Evaluate, Evaluate, Evaluate]
    switch (expr.name) {
      case '_&&_':
        return conjunction(a, b, false)
      case '_||_':
        return conjunction(a, b, true)
      case '_?_:_':
        return conditional(
          a,
          this.#free(expr.args[1] as Expr, scope) ?? b,
          this.#free(expr.args[2] as Expr, scope) ?? c,
        )
      case '@not_strictly_false':
        return notStrictlyFalse(a)
      case '@in':
        return constantMembership(a, expr.args[1] as Expr) ?? invoke(expr, args)
      case '_[_]':
        return index(a, this.#free(expr.args[1] as Expr, scope) ?? b)
      case '_[?_]':
      case '_?._':
        return optionalIndex(a, b)
      default:
        return constantCall(expr) ?? invoke(expr, args)
    }
  }

  /** Variables that are alternatives or indices come without a charge. */
  #free(expr: Expr, scope: Slots): Evaluate | undefined {
    if (expr.kind !== 'ident' || expr.value !== undefined) return undefined
    const slot = scope.get(expr.name) as number
    return (frame) => read(frame, slot)
  }

  #list(items: readonly Expr[], scope: Slots): Evaluate {
    if (items.length > 0 && items.every((item) => item.kind === 'const')) {
      return constant(new ArrayList(items.map((item) => item.value)))
    }
    const planned = items.map((item) => this.plan(item, scope))
    const cost = items.length === 0 ? 0 : 10
    return (frame) => {
      frame.charge(cost)
      frame.allocate(planned.length)
      return new ArrayList(planned.map((item) => item(frame)))
    }
  }

  #map(entries: ReadonlyArray<[Expr, Expr]>, scope: Slots): Evaluate {
    const planned = entries.map(([key, value]) => [this.plan(key, scope), this.plan(value, scope)] as const)
    if (entries.every(([key, value]) => key.kind === 'const' && value.kind === 'const')) return constantMap(entries)
    return (frame) => {
      frame.charge(30)
      const map = new EntryMap()
      for (const [key, value] of planned) {
        const at = key(frame)
        if (!map.insert(at, value(frame))) throw new EvaluationError('Failed with repeated key')
      }
      return map
    }
  }

  #fold(expr: Fold, scope: Slots): Evaluate {
    const range = this.plan(expr.range, scope)
    const init = this.plan(expr.init, scope)
    const accu = this.slots++
    const first = this.slots++
    const second = expr.iterVar2 === undefined ? undefined : this.slots++
    const outer = new Map(scope).set(expr.accuVar, accu)
    const inner = new Map(outer).set(expr.iterVar, first)
    if (expr.iterVar2 !== undefined) inner.set(expr.iterVar2, second as number)
    const condition =
      expr.condition.kind === 'const' && expr.condition.value === true ? undefined : this.plan(expr.condition, inner)
    const step = this.#step(expr, inner, accu)
    const result = this.plan(expr.result, outer)
    return (frame) => {
      const over = range(frame)
      frame.slots[accu] = attempt(init, frame)
      for (const [key, value] of entriesOf(over, second !== undefined)) {
        frame.slots[first] = key
        if (second !== undefined) frame.slots[second] = value
        if (condition && condition(frame) !== true) break
        const next = attempt(step, frame)
        frame.slots[accu] = next
        // What is added to a failure fails again; only `&&` and `||` can still turn it into something.
        if (!condition && next instanceof EvaluationError) break
      }
      return result(frame)
    }
  }

  /** `accumulator + [item]`: the accumulator is the macro's own list, which can grow instead of being copied. */
  #step({ step, accuVar }: Fold, scope: Slots, accu: number): Evaluate {
    if (isAppend(step, accuVar)) return this.#append(step, scope, accu)
    if (step.kind !== 'call' || step.name !== '_?_:_' || !isAppend(step.args[1] as Expr, accuVar)) {
      return this.plan(step, scope)
    }
    const [condition, append, otherwise] = step.args as [Expr, Expr, Expr]
    const unchanged = this.#free(otherwise, scope) ?? this.plan(otherwise, scope)
    return conditional(this.plan(condition, scope), this.#append(append, scope, accu), unchanged)
  }

  #append(step: Expr, scope: Slots, accu: number): Evaluate {
    const [, list] = (step as CallExpr).args as [Expr, Expr & { items: [Expr] }]
    const item = this.plan(list.items[0], scope)
    return (frame) => {
      // The accumulator, the list of one element, and the addition.
      frame.charge(12)
      frame.allocate(1)
      const grown = read(frame, accu) as ArrayList
      grown.items.push(item(frame))
      return grown
    }
  }
}

function isAppend(step: Expr, accuVar: string): boolean {
  if (step.kind !== 'call' || step.name !== '_+_') return false
  const [accumulator, list] = step.args as [Expr, Expr]
  return accumulator.kind === 'ident' && accumulator.name === accuVar && list.kind === 'list' && list.items.length === 1
}

/** The value in a slot, or the failure that was to become it. */
function read(frame: Frame, slot: number): Value {
  const value = frame.slots[slot] as Value | Error
  if (value instanceof EvaluationError) throw value
  return value as Value
}

function variable(slot: number): Evaluate {
  return (frame) => {
    frame.charge(1)
    return read(frame, slot)
  }
}

function constant(value: Value): Evaluate {
  return () => value
}

/** Made once; of entries with the same key the first one stays. */
function constantMap(entries: ReadonlyArray<[Expr, Expr]>): Evaluate {
  const map = new EntryMap()
  for (const [key, value] of entries) map.insert((key as Const).value, (value as Const).value)
  // Macros put their results into a map of their own.
  return entries.length === 0 ? () => new EntryMap() : constant(map)
}

type Maybe = Value | EvaluationError

function attempt(evaluate: Evaluate, frame: Frame): Maybe {
  return attempted(() => evaluate(frame))
}

function attempted(make: () => Value): Maybe {
  try {
    return make()
  } catch (error) {
    if (error instanceof EvaluationError) return error
    throw error
  }
}

/** The entries that a fold goes through: elements of a list, keys of a map, or both sides of each. */
function* entriesOf(over: Value, pairs: boolean): Generator<readonly [Maybe, Maybe]> {
  if (over instanceof ListValue) {
    for (let index = 0; index < over.length; index++) {
      const item = attempted(() => over.at(index))
      yield pairs ? [BigInt(index), item] : [item, null]
    }
  } else if (over instanceof MapValue) {
    for (const key of over.keys()) yield [key, pairs ? attempted(() => over.find(key) as Value) : null]
  } else throw new EvaluationError(`got 'types.${GO_NAMES[typeName(over)] ?? typeName(over)}', expected iterable type`)
}

const GO_NAMES: Readonly<Record<string, string>> = {
  bool: 'Bool',
  bytes: 'Bytes',
  double: 'Double',
  int: 'Int',
  null_type: 'Null',
  string: 'String',
  uint: 'Uint',
  'google.protobuf.Duration': 'Duration',
  'google.protobuf.Timestamp': 'Timestamp',
}

function conditional(condition: Evaluate, yes: Evaluate, no: Evaluate): Evaluate {
  return (frame) => {
    const chosen = condition(frame)
    if (typeof chosen !== 'boolean') throw noSuchOverload()
    return chosen ? yes(frame) : no(frame)
  }
}

/** `&&` and `||`: one side that decides makes up for a failure of the other. */
function conjunction(left: Evaluate, right: Evaluate, deciding: boolean): Evaluate {
  return (frame) => {
    const first = attempt(left, frame)
    if (first === deciding) return deciding
    const second = attempt(right, frame)
    if (second === deciding) return deciding
    for (const value of [first, second]) {
      if (value instanceof EvaluationError) throw value
      if (typeof value !== 'boolean') throw noSuchOverload()
    }
    return !deciding
  }
}

function notStrictlyFalse(operand: Evaluate): Evaluate {
  return (frame) => {
    frame.charge(1)
    return attempt(operand, frame) !== false
  }
}

function index(container: Evaluate, key: Evaluate): Evaluate {
  return (frame) => {
    const value = container(frame)
    const at = key(frame)
    frame.charge(1)
    return value instanceof Optional ? optionalElement(value, at) : elementAt(value, at)
  }
}

function optionalIndex(container: Evaluate, key: Evaluate): Evaluate {
  return (frame) => {
    const value = container(frame)
    const at = key(frame)
    frame.charge(1)
    return optionalElement(value, at)
  }
}

const CONVERSIONS = new Set(['bool', 'bytes', 'double', 'duration', 'int', 'string', 'timestamp', 'uint'])

/** Conversions of literals are made once, and cost nothing. */
function constantCall({ name, target, args, overloads }: CallExpr): Evaluate | undefined {
  const [arg] = args
  if (target || args.length !== 1 || arg?.kind !== 'const' || !CONVERSIONS.has(name) || overloads?.length !== 1) {
    return undefined
  }
  return constant((overloads[0] as Overload).run(undefined as never, arg.value as never))
}

function invoke(expr: CallExpr, args: readonly Evaluate[]): Evaluate {
  const overloads = expr.overloads as readonly Overload[]
  const [only] = overloads
  const types = (expr.target ? [expr.target, ...expr.args] : expr.args).map((arg) => arg.type as Type)
  if (overloads.length === 1 && types.every(isKnown)) {
    const overload = only as Overload
    return (frame) => apply(frame, overload, evaluateAll(args, frame))
  }
  return (frame) => {
    const values = evaluateAll(args, frame)
    const overload = overloads.find((one) => one.args.every((type, at) => hasType(values[at] as Value, type)))
    if (!overload) throw noOverload(expr.name, values)
    return apply(frame, overload, values)
  }
}

/** Functions are named in the message, operators are not. */
function noOverload(name: string, values: readonly Value[]): EvaluationError {
  if (!/^[a-z]/i.test(name)) return noSuchOverload()
  const signature = name === 'size' ? name : `${name}(${values.map(typeName).join(', ')})`
  return new EvaluationError(`no such overload: ${signature}`)
}

/** A literal list is a set to look into, at no cost. */
function constantMembership(wanted: Evaluate, list: Expr): Evaluate | undefined {
  if (list.kind !== 'list' || list.items.length === 0 || !list.items.every(isKey)) return undefined
  const set = new EntryMap()
  for (const item of list.items) set.insert(item.value, true)
  return (frame) => {
    const value = wanted(frame)
    return isKeyValue(value) && set.find(value) === true
  }
}

function isKey(expr: Expr): expr is Const {
  return expr.kind === 'const' && isKeyValue(expr.value)
}

/** Whether keys of maps can be of its type. NaN is equal to nothing. */
function isKeyValue(value: Value): boolean {
  return ['string', 'boolean'].includes(typeof value) || (isNumber(value) && !Number.isNaN(value))
}

function isKnown(type: Type): boolean {
  return (
    type.kind !== 'dyn' && type.kind !== 'param' && type.params.every((inner) => type.kind === 'type' || isKnown(inner))
  )
}

function evaluateAll(args: readonly Evaluate[], frame: Frame): Value[] {
  const values: Value[] = []
  for (const arg of args) values.push(arg(frame))
  return values
}

function apply(frame: Frame, overload: Overload, values: Value[]): Value {
  frame.charge(overload.cost(values))
  for (const value of values) if (typeof value === 'string') spendOnText(value.length)
  const result = overload.run(frame, ...(values as never[]))
  if (typeof result === 'string') spendOnText(result.length)
  if (overload.costAfter) frame.charge(overload.costAfter(values, result))
  return result
}
