/** CEL's type checker: finds the type of every expression and the overloads that each call may mean. */
import type { CallExpr, Expr, Fold, Issue, ListExpr, MapExpr, Select } from './ast.ts'
import { CONSTANTS, FUNCTIONS } from './environment.ts'
import type { Overload } from './functions.ts'
import { OPTIONAL_SELECT } from './functions-operators.ts'
import {
  BOOL,
  BYTES,
  DOUBLE,
  DYN,
  ERROR,
  INT,
  isOptional,
  listOf,
  mapOf,
  NULL,
  optionalOf,
  param,
  STRING,
  type Type,
  UINT,
  unwrapOptional,
} from './types.ts'
import { type Bindings, moreGeneral, NO_BINDINGS, substitute, unify } from './unify.ts'
import { Uint, type Value } from './values.ts'

/** Variables with their types. */
export type Declarations = ReadonlyMap<string, Type>

export interface Checked {
  type: Type
  /** Names of declared variables that the expression refers to. */
  references: ReadonlySet<string>
}

/** Writes types and overloads into the expression. */
export function check(expr: Expr, variables: Declarations): Checked | { issues: Issue[] } {
  const checker = new Checker(variables)
  checker.check(expr)
  if (checker.issues.length > 0) return { issues: checker.issues }
  checker.settle(expr)
  return { type: expr.type as Type, references: checker.references }
}

interface Scope {
  names: ReadonlyMap<string, Type>
  outer: Scope | undefined
}

class Checker {
  readonly issues: Issue[] = []
  readonly references = new Set<string>()
  #bindings: Bindings = NO_BINDINGS
  #scope: Scope | undefined
  readonly #variables: Declarations
  #parameters = 0
  /** Within `format`, lists and maps may hold values of several types. */
  #mixed = 0

  constructor(variables: Declarations) {
    this.#variables = variables
  }

  check(expr: Expr): void {
    expr.type = this.#typeOf(expr)
  }

  /** Replaces type parameters by what was found out about them. */
  settle(expr: Expr): void {
    // Macros use some of their parts in two places.
    expr.type = substitute(this.#bindings, expr.type as Type, true)
    for (const part of partsOf(expr)) this.settle(part)
  }

  #typeOf(expr: Expr): Type {
    switch (expr.kind) {
      case 'const':
        return typeOfLiteral(expr.value)
      case 'ident':
        return this.#resolve(expr, expr.name) ?? this.#undeclared(expr, expr.name)
      case 'select':
        return this.#select(expr)
      case 'call':
        return this.#call(expr)
      case 'list':
        return this.#list(expr)
      case 'map':
        return this.#map(expr)
      default:
        return this.#fold(expr)
    }
  }

  #fail(expr: Expr, message: string): Type {
    this.issues.push({ pos: expr.pos, message })
    return ERROR
  }

  #undeclared(expr: Expr, name: string): Type {
    return this.#fail(expr, `undeclared reference to '${name}' (in container '')`)
  }

  /** The variable or constant of that name; a constant takes the place of the expression. */
  #resolve(expr: Expr, name: string): Type | undefined {
    for (let scope = this.#scope; scope; scope = scope.outer) {
      const type = scope.names.get(name)
      if (type) return type
    }
    const variable = this.#variables.get(name)
    if (variable) {
      this.references.add(name)
      return variable
    }
    const constant = CONSTANTS.get(name)
    if (!constant) return undefined
    Object.assign(expr, { kind: 'ident', name, value: constant.value })
    return constant.type
  }

  #select(expr: Select): Type {
    const qualified = expr.test ? undefined : qualifiedName(expr)
    const constant = qualified === undefined ? undefined : this.#resolve(expr, qualified)
    if (constant) return constant
    const type = this.#member(expr, expr.operand, expr.field, false)
    return expr.test ? BOOL : substitute(this.#bindings, type, false)
  }

  #member(expr: Expr, operand: Expr, field: string, optional: boolean): Type {
    this.check(operand)
    const given = substitute(this.#bindings, operand.type as Type, false)
    const target = unwrapOptional(given)
    const type = this.#fieldType(expr, target, field)
    return optional || isOptional(given) ? optionalOf(type) : type
  }

  #fieldType(expr: Expr, target: Type, field: string): Type {
    switch (target.kind) {
      case 'map':
        return target.params[1] as Type
      case 'struct':
        return target.fields?.(field) ?? this.#fail(expr, `undefined field '${field}'`)
      case 'param':
        this.#assign([DYN], [target])
        return DYN
      case 'dyn':
      case 'error':
        return DYN
      default:
        this.#fail(expr, `type '${target.text}' does not support field selection`)
        return DYN
    }
  }

  #call(expr: CallExpr): Type {
    if (expr.name === '_?._') return this.#optionalSelect(expr)
    const prefix = expr.target && qualifiedName(expr.target)
    const namespaced = prefix === undefined ? undefined : FUNCTIONS.get(`${prefix}.${expr.name}`)
    const formats = expr.name === 'format'
    if (formats) this.#mixed++
    for (const arg of expr.args) this.check(arg)
    if (formats) this.#mixed--
    if (namespaced) {
      expr.name = `${prefix}.${expr.name}`
      expr.target = undefined
      return this.#overload(expr, namespaced)
    }
    if (expr.target) this.check(expr.target)
    const overloads = FUNCTIONS.get(expr.name)
    return overloads ? this.#overload(expr, overloads) : this.#undeclared(expr, expr.name)
  }

  #optionalSelect(expr: CallExpr): Type {
    const [operand, field] = expr.args as [Expr, Expr & { value: string }]
    const type = this.#member(expr, operand, field.value, true)
    field.type = STRING
    expr.overloads = [OPTIONAL_SELECT]
    return substitute(this.#bindings, type, false)
  }

  #overload(expr: CallExpr, overloads: readonly Overload[]): Type {
    const { target } = expr
    const given = (target ? [target, ...expr.args] : expr.args).map((arg) => arg.type as Type)
    if (expr.name === '_&&_' || expr.name === '_||_') return this.#logic(expr, overloads)
    const fitting: Overload[] = []
    let result: Type | undefined
    for (const overload of overloads) {
      if (overload.member !== (target !== undefined)) continue
      const fresh = this.#instantiate(overload)
      if (!this.#assign(given, fresh.args)) continue
      fitting.push(overload)
      const type = substitute(this.#bindings, fresh.result, false)
      if (result === undefined) result = type
      else if (result.kind !== 'dyn' && type.text !== result.text) result = DYN
    }
    if (result === undefined) {
      const [first, ...rest] = given.map((type) => substitute(this.#bindings, type, true).text)
      const signature = target
        ? `${first}.(${rest.join(', ')})`
        : `(${first === undefined ? '' : [first, ...rest].join(', ')})`
      return this.#fail(expr, `found no matching overload for '${expr.name}' applied to '${signature}'`)
    }
    expr.overloads = fitting
    return result
  }

  #logic(expr: CallExpr, overloads: readonly Overload[]): Type {
    expr.overloads = overloads
    let type = BOOL
    for (const arg of expr.args) if (!this.#expect(arg, BOOL)) type = ERROR
    return type
  }

  #expect(expr: Expr, type: Type): boolean {
    if (this.#assign([type], [expr.type as Type])) return true
    const found = (expr.type as Type).text
    this.#fail(expr, `expected type '${type.text}' but found '${found}'`)
    return false
  }

  #assign(given: readonly Type[], wanted: readonly Type[]): boolean {
    const bindings = unify(this.#bindings, given, wanted)
    if (bindings) this.#bindings = bindings
    return bindings !== undefined
  }

  /** The overload with type parameters that are its own. */
  #instantiate({ args, result }: Overload): { args: readonly Type[]; result: Type } {
    const names = new Set<string>()
    for (const type of args) parametersIn(type, names)
    if (names.size === 0) return { args, result }
    const fresh = new Map([...names].map((name) => [name, this.#fresh()]))
    return { args: args.map((type) => substitute(fresh, type, false)), result: substitute(fresh, result, false) }
  }

  #fresh(): Type {
    return param(`_var${this.#parameters++}`)
  }

  #list(expr: ListExpr): Type {
    let type: Type | undefined
    for (const item of expr.items) {
      this.check(item)
      type = this.#join(item, type)
    }
    return listOf(type ?? this.#fresh())
  }

  #map(expr: MapExpr): Type {
    let keys: Type | undefined
    let values: Type | undefined
    for (const [key, value] of expr.entries) {
      this.check(key)
      keys = this.#join(key, keys)
      this.check(value)
      values = this.#join(value, values)
    }
    return mapOf(keys ?? this.#fresh(), values ?? this.#fresh())
  }

  /** Elements of a list have one type. */
  #join(expr: Expr, previous: Type | undefined): Type {
    const type = expr.type as Type
    if (!previous) return type
    if (this.#assign([previous], [type])) return moreGeneral(previous, type)
    if (this.#mixed > 0) return DYN
    return this.#fail(expr, `expected type '${previous.text}' but found '${type.text}'`)
  }

  #fold(expr: Fold): Type {
    this.check(expr.range)
    this.check(expr.init)
    const range = substitute(this.#bindings, expr.range.type as Type, false)
    const outer = this.#scope
    const accumulated: Scope = { names: new Map([[expr.accuVar, expr.init.type as Type]]), outer }
    const [first, second] = this.#iteration(expr, range)
    const names = new Map([[expr.iterVar, first]])
    if (expr.iterVar2 !== undefined) names.set(expr.iterVar2, second)
    this.#scope = { names, outer: accumulated }
    this.check(expr.condition)
    this.#expect(expr.condition, BOOL)
    this.check(expr.step)
    this.#expect(expr.step, expr.init.type as Type)
    this.#scope = accumulated
    this.check(expr.result)
    this.#scope = outer
    return substitute(this.#bindings, expr.result.type as Type, false)
  }

  /** Types of the variables of a fold. */
  #iteration(expr: Fold, range: Type): [Type, Type] {
    const two = expr.iterVar2 !== undefined
    switch (range.kind) {
      case 'list':
        return two ? [INT, range.params[0] as Type] : [range.params[0] as Type, DYN]
      case 'map':
        return [range.params[0] as Type, range.params[1] as Type]
      case 'dyn':
      case 'error':
      case 'param':
        this.#assign([DYN], [range])
        return [DYN, DYN]
      default: {
        const said = `expression of type '${range.text}' cannot be range of a comprehension (must be list, map, or dynamic)`
        const type = this.#fail(expr.range, said)
        return [type, type]
      }
    }
  }
}

function typeOfLiteral(value: Value): Type {
  if (value === null) return NULL
  if (typeof value === 'boolean') return BOOL
  if (typeof value === 'bigint') return INT
  if (typeof value === 'number') return DOUBLE
  if (typeof value === 'string') return STRING
  return value instanceof Uint ? UINT : BYTES
}

/** `a.b.c`, where the expression is nothing but names. */
function qualifiedName(expr: Expr): string | undefined {
  if (expr.kind === 'ident') return expr.name
  if (expr.kind !== 'select' || expr.test) return undefined
  const prefix = qualifiedName(expr.operand)
  return prefix === undefined ? undefined : `${prefix}.${expr.field}`
}

function parametersIn(type: Type, names: Set<string>): void {
  if (type.kind === 'param') names.add(type.text)
  for (const inner of type.params) parametersIn(inner, names)
}

/** The expressions directly inside of one. */
export function partsOf(expr: Expr): Expr[] {
  switch (expr.kind) {
    case 'select':
      return [expr.operand]
    case 'call':
      return expr.target ? [expr.target, ...expr.args] : expr.args
    case 'list':
      return expr.items
    case 'map':
      return expr.entries.flat()
    case 'fold':
      return [expr.range, expr.init, expr.condition, expr.step, expr.result]
    default:
      return []
  }
}
