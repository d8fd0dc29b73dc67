/**
 * What an expression costs at most, in the units of Kubernetes (one is a simple step, some 50 ns there), given how large
 * the schema allows values to be. Rules that are too expensive are refused with their CustomResourceDefinition.
 */
import type { CallExpr, Expr, Fold } from './ast.ts'
import { add, fixed, multiply, ONE, type Range, scale, UNBOUNDED, UNKNOWN, union, ZERO } from './cost-range.ts'
import { type Estimate, type Item, priceOf, type Sizes } from './function-prices.ts'
import { codePoints, type Overload } from './functions.ts'
import type { Declaration } from './schema-types.ts'
import { isOptional, type Type } from './types.ts'
import { Uint, type Value } from './values.ts'

interface Entries {
  kind: 'list' | 'map'
  key: Range
  value: Range
}

interface Local {
  path: readonly string[] | undefined
  size: Range | undefined
  entries: Entries | undefined
}

/** The most that a checked expression can cost; `self` and `oldSelf` are as the declaration says. */
export function estimateCost(expr: Expr, root: Declaration): number {
  return new Estimator(root).cost(expr).max
}

class Estimator implements Sizes {
  readonly #root: Declaration
  readonly #paths = new Map<Expr, readonly string[]>()
  readonly #sizes = new Map<Expr, Range>()
  readonly #entries = new Map<Expr, Entries>()
  readonly #locals = new Map<string, Local[]>()

  constructor(root: Declaration) {
    this.#root = root
  }

  cost(expr: Expr): Range {
    switch (expr.kind) {
      case 'const':
        return ZERO
      case 'ident':
        this.#paths.set(expr, this.#local(expr.name)?.path ?? [expr.name])
        return ONE
      case 'select':
        return this.#select(expr)
      case 'call':
        return expr.name === 'dyn' ? this.#dyn(expr) : this.#call(expr)
      case 'list':
        return this.#list(expr)
      case 'map':
        return this.#map(expr)
      default:
        return isBinding(expr) ? this.#bind(expr) : this.#fold(expr)
    }
  }

  #select(expr: Expr & { kind: 'select' }): Range {
    const operand = this.cost(expr.operand)
    if (expr.test) return operand
    this.#paths.set(expr, [...this.#path(expr.operand), expr.field])
    const { kind } = expr.operand.type as Type
    return kind === 'map' || kind === 'struct' || kind === 'param' ? add(operand, ONE) : operand
  }

  #dyn(expr: CallExpr): Range {
    const [arg] = expr.args as [Expr]
    const cost = this.cost(arg)
    this.#copySize(expr, arg)
    return add(ONE, cost)
  }

  #call(expr: CallExpr): Range {
    const costs = expr.args.map((arg) => this.cost(arg))
    const target = expr.target ? this.cost(expr.target) : ZERO
    let total: Range = { min: UNBOUNDED, max: 0 }
    let size: Range | undefined
    for (const overload of expr.overloads ?? []) {
      const estimate = this.#overload(expr, overload, costs)
      total = union(total, estimate.cost)
      if (estimate.result) size = size ? union(size, estimate.result) : estimate.result
      if (overload.id === 'index_list' || overload.id === 'index_map') {
        const [container] = expr.args as [Expr]
        size = this.#entriesOf(container)?.value
        this.#paths.set(expr, [...this.#path(container), overload.id === 'index_list' ? '@items' : '@values'])
      }
      size ??= this.#sizeOf(expr)
    }
    if (size) this.#sizes.set(expr, size)
    return add(target, total)
  }

  #overload(expr: CallExpr, overload: Overload, costs: readonly Range[]): Estimate {
    const sum = costs.reduce(add, ZERO)
    const priced = priceOf(expr, overload, this)
    if (priced) return { cost: add(priced.cost, sum), result: priced.result }
    const [a, b, c] = expr.args as [Expr, Expr, Expr]
    switch (overload.id) {
      case 'logical_and':
      case 'logical_or':
        return { cost: { min: (costs[0] as Range).min, max: sum.max } }
      case 'conditional': {
        const entries = merge(this.#entriesOf(b), this.#entriesOf(c))
        if (entries) this.#entries.set(expr, entries)
        const [condition, yes, no] = costs as [Range, Range, Range]
        return { cost: add(condition, union(yes, no)), result: union(this.size(b), this.size(c)) }
      }
      case 'add_string':
      case 'add_bytes':
      case 'add_list': {
        const result = add(this.size(a), this.size(b))
        const entries = merge(this.#entriesOf(a), this.#entriesOf(b))
        if (entries) this.#entries.set(expr, entries)
        return { cost: add(overload.id === 'add_list' ? ONE : scale(result, 0.1), sum), result }
      }
      default:
        return { cost: add(ONE, sum) }
    }
  }

  itemOf(list: Expr): Item | undefined {
    const type = (list.type as Type).params[0]
    if (!type) return undefined
    const path = this.#visiblePath(list)
    return { type, size: (path.length > 0 && this.#declared([...path, '@items'])) || UNKNOWN }
  }

  #list(expr: Expr & { kind: 'list' }): Range {
    let sum = ZERO
    let item: Range = { min: expr.items.length === 0 ? 0 : UNBOUNDED, max: 0 }
    for (const part of expr.items) {
      sum = add(sum, this.cost(part))
      item = union(item, this.size(part))
    }
    this.#entries.set(expr, { kind: 'list', key: ONE, value: item })
    return add(sum, fixed(10))
  }

  #map(expr: Expr & { kind: 'map' }): Range {
    let sum = ZERO
    const none = { min: expr.entries.length === 0 ? 0 : UNBOUNDED, max: 0 }
    let [keys, values]: [Range, Range] = [none, none]
    for (const [key, value] of expr.entries) {
      sum = add(add(sum, this.cost(key)), this.cost(value))
      keys = union(keys, this.size(key))
      values = union(values, this.size(value))
    }
    this.#entries.set(expr, { kind: 'map', key: keys, value: values })
    return add(sum, fixed(30))
  }

  #fold(expr: Fold): Range {
    let sum = add(this.cost(expr.range), this.cost(expr.init))
    this.#push(expr.accuVar, expr.init)
    this.#pushIteration(expr)
    const each = add(this.cost(expr.condition), this.cost(expr.step))
    this.#pop(expr.iterVar)
    if (expr.iterVar2 !== undefined) this.#pop(expr.iterVar2)
    sum = add(sum, this.cost(expr.result))
    this.#pop(expr.accuVar)
    const count = this.size(expr.range)
    if (expr.init.kind === 'const') {
      const size = this.#sizeOf(expr.init)
      if (size) this.#sizes.set(expr, size)
    } else if (expr.init.kind === 'list' || expr.init.kind === 'map') {
      this.#sizes.set(expr, count)
      const entries = this.#entriesOf(expr.step)
      if (entries) this.#entries.set(expr, entries)
    }
    return add(sum, multiply(count, each))
  }

  #bind(expr: Fold): Range {
    let sum = add(this.cost(expr.range), this.cost(expr.init))
    this.#push(expr.accuVar, expr.init)
    sum = add(sum, this.cost(expr.result))
    this.#pop(expr.accuVar)
    this.#copySize(expr, expr.result)
    return sum
  }

  #pushIteration({ range, iterVar, iterVar2 }: Fold): void {
    const entries = this.#entriesOf(range)
    const isList = (entries?.kind ?? (range.type as Type).kind) === 'list'
    const path = this.#path(range)
    const value = { path: [...path, isList ? '@items' : '@values'], size: entries?.value, entries: undefined }
    const key = { path: [...path, isList ? '@indices' : '@keys'], size: entries?.key, entries: undefined }
    if (iterVar2 === undefined) this.#pushLocal(iterVar, isList ? value : key)
    else {
      this.#pushLocal(iterVar, key)
      this.#pushLocal(iterVar2, value)
    }
  }

  #push(name: string, expr: Expr): void {
    this.#pushLocal(name, { path: this.#path(expr), size: this.#sizeOf(expr), entries: this.#entriesOf(expr) })
  }

  #pushLocal(name: string, local: Local): void {
    const stack = this.#locals.get(name)
    if (stack) stack.push(local)
    else this.#locals.set(name, [local])
  }

  #pop(name: string): void {
    this.#locals.get(name)?.pop()
  }

  #local(name: string): Local | undefined {
    return this.#locals.get(name)?.at(-1)
  }

  #path(expr: Expr): readonly string[] {
    return (expr.kind === 'ident' && this.#local(expr.name)?.path) || this.#paths.get(expr) || []
  }

  /** Accumulators have no place in the object. */
  #visiblePath(expr: Expr): readonly string[] {
    const path = this.#path(expr)
    return path[0] === '@result' ? [] : path
  }

  #entriesOf(expr: Expr): Entries | undefined {
    return this.#entries.get(expr) ?? (expr.kind === 'ident' ? this.#local(expr.name)?.entries : undefined)
  }

  #copySize(to: Expr, from: Expr): void {
    const size = this.#sizeOf(from)
    if (size) this.#sizes.set(to, size)
    const entries = this.#entriesOf(from)
    if (entries) this.#entries.set(to, entries)
  }

  size(expr: Expr): Range {
    return this.#sizeOf(expr) ?? UNKNOWN
  }

  #sizeOf(expr: Expr): Range | undefined {
    const known = this.#sizes.get(expr) ?? sizeOfLiteral(expr)
    if (known) return known
    const path = this.#path(expr)
    const declared = path.length > 0 ? this.#declared(path) : undefined
    if (declared) {
      this.#sizes.set(expr, declared)
      return declared
    }
    if (isScalar(expr.type as Type)) return ONE
    return expr.kind === 'ident' ? this.#local(expr.name)?.size : undefined
  }

  /** How large the schema allows the value at a path to be. The first part is the variable. */
  #declared(path: readonly string[]): Range | undefined {
    let at: Declaration | undefined = this.#root
    for (const part of path.slice(1)) {
      if (part === '@items' || part === '@values') at = at.items
      else if (part === '@keys') at = at.key
      else at = at.field(part)
      if (!at) return undefined
    }
    return { min: 0, max: at.maxElements }
  }
}

function isBinding({ range, condition, accuVar }: Fold): boolean {
  return (
    range.kind === 'list' &&
    range.items.length === 0 &&
    condition.kind === 'const' &&
    condition.value === false &&
    accuVar !== '@result'
  )
}

function merge(a: Entries | undefined, b: Entries | undefined): Entries | undefined {
  return a && b && { kind: a.kind, key: union(a.key, b.key), value: union(a.value, b.value) }
}

function sizeOfLiteral(expr: Expr): Range | undefined {
  if (expr.kind === 'list') return fixed(expr.items.length)
  if (expr.kind === 'map') return fixed(expr.entries.length)
  return expr.kind === 'const' ? fixed(literalSize(expr.value)) : undefined
}

function literalSize(value: Value): number {
  if (typeof value === 'string') return codePoints(value)
  return value instanceof Uint8Array && !(value instanceof Uint) ? value.length : 1
}

function isScalar(type: Type): boolean {
  if (isOptional(type)) return isScalar(type.params[0] as Type)
  return ['bool', 'double', 'duration', 'int', 'timestamp', 'uint'].includes(type.kind)
}
