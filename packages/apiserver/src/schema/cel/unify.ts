/** Which types may stand for which, and what that says of type parameters. */
import { DYN, type Type, withParams } from './types.ts'

/** What is known of type parameters, by their text. Never changed: each step makes a new one. */
export type Bindings = ReadonlyMap<string, Type>

export const NO_BINDINGS: Bindings = new Map()

/** The bindings under which a value of each type in `given` may be used as the type at its place in `wanted`. */
export function unify(bindings: Bindings, given: readonly Type[], wanted: readonly Type[]): Bindings | undefined {
  if (given.length !== wanted.length) return undefined
  const attempt = new Map(bindings)
  return given.every((type, index) => assign(attempt, type, wanted[index] as Type)) ? attempt : undefined
}

function assign(bindings: Map<string, Type>, a: Type, b: Type): boolean {
  if (b.kind === 'param') {
    const bound = bind(bindings, b, a)
    if (bound !== undefined) return bound
  }
  if (a.kind === 'param') return bind(bindings, a, b) ?? false
  if (isLoose(a) || isLoose(b)) return true
  if (a.kind === 'null') return isNullable(b)
  if (b.kind === 'null') return isNullable(a)
  if (a.kind === 'type') return b.kind === 'type'
  if (a.kind === 'list' || a.kind === 'map' || a.kind === 'opaque') {
    return (
      a.kind === b.kind &&
      a.name === b.name &&
      a.params.length === b.params.length &&
      a.params.every((param, index) => assign(bindings, param, b.params[index] as Type))
    )
  }
  return a.text === b.text
}

function isLoose(type: Type): boolean {
  return type.kind === 'dyn' || type.kind === 'error'
}

function isNullable(type: Type): boolean {
  return ['null', 'opaque', 'struct', 'timestamp', 'duration'].includes(type.kind)
}

/** Undefined where nothing speaks against it, but the parameter occurs in the type itself. */
function bind(bindings: Map<string, Type>, param: Type, type: Type): boolean | undefined {
  if (param.text === type.text) return true
  const bound = bindings.get(param.text)
  if (bound !== undefined) {
    if (bound.text === type.text) return true
    if (!assign(bindings, type, bound)) return false
    const general = moreGeneral(type, bound)
    if (!occursIn(bindings, param, general)) bindings.set(param.text, general)
    return true
  }
  if (occursIn(bindings, param, type)) return undefined
  bindings.set(param.text, type)
  return true
}

function occursIn(bindings: Bindings, param: Type, type: Type): boolean {
  if (param.text === type.text) return true
  if (type.kind === 'param') {
    const bound = bindings.get(type.text)
    return bound !== undefined && occursIn(bindings, param, bound)
  }
  return type.params.some((inner) => occursIn(bindings, param, inner))
}

/** Of two types that unify, the one that says less. */
export function moreGeneral(a: Type, b: Type): Type {
  return saysNoMore(a, b) ? a : b
}

function saysNoMore(a: Type, b: Type): boolean {
  if (a.kind === 'dyn' || a.kind === 'param') return true
  if (b.kind === 'dyn' || b.kind === 'param' || a.kind !== b.kind) return false
  if (a.kind === 'type') return true
  if (a.kind !== 'list' && a.kind !== 'map' && a.kind !== 'opaque') return a.text === b.text
  return (
    a.name === b.name &&
    a.params.length === b.params.length &&
    a.params.every((param, index) => saysNoMore(param, b.params[index] as Type))
  )
}

/** Replaces parameters by what they are bound to; free ones become `dyn` where asked for. */
export function substitute(bindings: Bindings, type: Type, freeToDyn: boolean): Type {
  const bound = bindings.get(type.text)
  if (bound !== undefined) return substitute(bindings, bound, freeToDyn)
  if (type.kind === 'param') return freeToDyn ? DYN : type
  if (type.params.length === 0) return type
  return withParams(
    type,
    type.params.map((param) => substitute(bindings, param, freeToDyn)),
  )
}
