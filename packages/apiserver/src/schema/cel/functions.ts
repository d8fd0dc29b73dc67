/** How functions of CEL are declared: signatures for the checker, implementations and prices for the evaluator. */
import type { Frame } from './frame.ts'
import type { Type } from './types.ts'
import { EvaluationError, ListValue, MapValue, OpaqueValue, Optional, typeName, type Value } from './values.ts'

export interface Overload {
  /** As cel-go names it; prices depend on it. */
  id: string
  /** Whether the first argument stands before the dot. */
  member: boolean
  args: readonly Type[]
  result: Type
  /** Gets values of the declared types, the target first. */
  run(frame: Frame, ...args: never[]): Value
  /** What a call costs; known before it is made. */
  cost(args: readonly Value[]): number
  /** For what costs as much as it yields. */
  costAfter?: (args: readonly Value[], result: Value) => number
}

export interface Declaration {
  name: string
  overloads: readonly Overload[]
}

type Run = (frame: Frame, ...args: never[]) => Value

interface Options {
  cost?: (args: readonly Value[]) => number
  costAfter?: (args: readonly Value[], result: Value) => number
}

/** A function called by its name. */
export function global(id: string, args: readonly Type[], result: Type, run: Run, options: Options = {}): Overload {
  return { id, member: false, args, result, run, cost: options.cost ?? unit, ...after(options) }
}

/** A function called on its first argument. */
export function member(id: string, args: readonly Type[], result: Type, run: Run, options: Options = {}): Overload {
  return { id, member: true, args, result, run, cost: options.cost ?? unit, ...after(options) }
}

function after({ costAfter }: Options): Pick<Overload, 'costAfter'> {
  return costAfter ? { costAfter } : {}
}

export function declare(name: string, ...overloads: Overload[]): Declaration {
  return { name, overloads }
}

function unit(): number {
  return 1
}

const TRAVERSAL = 0.1
const REGEX = 0.25

/** What `size` would say, where that means something; else 1. */
export function sizeOf(value: Value): number {
  if (typeof value === 'string') return codePoints(value)
  if (value instanceof ListValue || value instanceof Uint8Array) return value.length
  if (value instanceof MapValue || value instanceof OpaqueValue) return value.size
  return value instanceof Optional && value.value !== undefined ? sizeOf(value.value) : 1
}

/** Whether there may be characters of two units, which is seldom and costs nothing to see in ASCII. */
export function hasPairs(text: string): boolean {
  return /[\ud800-\udbff]/.test(text)
}

export function codePoints(text: string): number {
  let count = text.length
  if (!hasPairs(text)) return count
  for (let index = 0; index < text.length - 1; index++) {
    if ((text.charCodeAt(index) & 0xfc00) === 0xd800 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00) count--
  }
  return count
}

/** Reading the first argument once, or several times. */
export function traversal(times = 1, index = 0): (args: readonly Value[]) => number {
  return (args) => Math.ceil(sizeOf(args[index] as Value) * times * TRAVERSAL)
}

export function regexCost([text, pattern]: readonly Value[]): number {
  return Math.ceil((1 + sizeOf(text as Value)) * TRAVERSAL) * Math.ceil(sizeOf(pattern as Value) * REGEX)
}

export function comparisonCost([a, b]: readonly Value[]): number {
  return Math.ceil(Math.min(sizeOf(a as Value), sizeOf(b as Value)) * TRAVERSAL)
}

/** Reading every leaf of a value. */
export function wholeCost(value: Value): number {
  if (typeof value === 'string') return Math.floor(Buffer.byteLength(value) * TRAVERSAL)
  if (value instanceof Uint8Array) return Math.floor(value.length * TRAVERSAL)
  let cost = 0
  if (value instanceof ListValue) {
    for (const item of value) cost += wholeCost(item)
    return cost
  }
  if (!(value instanceof MapValue)) return 1
  for (const key of value.keys()) cost += wholeCost(key) + wholeCost(value.find(key) as Value)
  return cost
}

/** Whether a value that was only known as `dyn` has the type after all. */
export function hasType(value: Value, type: Type): boolean {
  switch (type.kind) {
    case 'dyn':
    case 'param':
      return true
    case 'null':
      return value === null
    case 'timestamp':
      return typeName(value) === 'google.protobuf.Timestamp'
    case 'duration':
      return typeName(value) === 'google.protobuf.Duration'
    case 'struct':
    case 'opaque':
      return typeName(value) === type.name || (value instanceof MapValue && type.fields !== undefined)
    default:
      return typeName(value) === type.kind
  }
}

/** For functions that ask whether another one would work. */
export function succeeds(attempt: () => unknown): boolean {
  try {
    attempt()
    return true
  } catch (error) {
    if (error instanceof EvaluationError) return false
    throw error
  }
}
