/**
 * Kubernetes' JSONPath: what printer columns and selectable fields are read by. Fields, indices and slices, wildcards,
 * unions, recursive descent and filters such as `.status.conditions[?(@.type=="Ready")].status`.
 */
import { isObject } from '../patch/json-value.ts'

export class JsonPathError extends Error {
  override readonly name = 'JsonPathError'
  readonly code = 'json-path'
}

/** Values found, in order. Missing members are no error; what does not fit (an index into an object) is. */
export type JsonPath = (value: unknown) => unknown[]

type Step = (values: readonly unknown[]) => unknown[]

// Recursive descents multiply: a column must not hold up the server.
const MAXIMUM_RESULTS = 100_000

/** Compiles a path without its braces, such as `.spec.replicas`. Throws a `JsonPathError` for bad syntax. */
export function compileJsonPath(text: string): JsonPath {
  if (text.length > 10_000) throw new JsonPathError('path is too long')
  const steps = parse(text)
  return (value) => run(steps, [value])
}

function run(steps: readonly Step[], values: readonly unknown[]): unknown[] {
  let found = [...values]
  for (const step of steps) {
    found = step(found)
    refuseTooMany(found.length)
  }
  return found
}

/** Before they are gathered: what is multiplied first and counted then has taken the time already. */
function refuseTooMany(results: number): void {
  if (results > MAXIMUM_RESULTS) throw new JsonPathError(`more than ${MAXIMUM_RESULTS} results`)
}

function parse(text: string): Step[] {
  const steps: Step[] = []
  let at = 0
  let descended = false
  while (at < text.length) {
    const rest = text.slice(at)
    const character = rest[0] as string
    if (rest.startsWith('[?(')) {
      const end = endOfFilter(text, at + 3)
      steps.push(filter(text.slice(at + 3, end)))
      at = end + 2
    } else if (rest.startsWith('..')) {
      if (descended) throw new JsonPathError('invalid multiple recursive descent')
      steps.push(descend)
      at += 2
      const name = /^[\p{L}\p{Nd}_](?:\\.|[^\\\s.,[\]$@{}])*/su.exec(text.slice(at))?.[0]
      if (name !== undefined) steps.push(fieldStep(name))
      descended = name === undefined
      at += name?.length ?? 0
      continue
    } else if (character === '.') {
      const field = (/^(?:\\.|[^\\\s.,[\]$@{}])*/su.exec(text.slice(at + 1)) as RegExpExecArray)[0]
      steps.push(fieldStep(field))
      at += 1 + field.length
    } else if (character === '[') {
      const end = text.indexOf(']', at)
      if (end < 0) throw new JsonPathError('unterminated array')
      steps.push(brackets(text.slice(at + 1, end)))
      at = end + 1
    } else if (character === '@' || character === '$' || character === ' ') at++
    else {
      const literal = parseLiteral(rest)
      steps.push((values) => values.map(() => literal.value))
      at += literal.length
    }
    descended = false
  }
  return steps
}

function parseLiteral(text: string): { value: unknown; length: number } {
  const quote = text[0]
  if (quote === '"' || quote === "'") {
    const end = endOfQuoted(text, 0)
    return { value: text.slice(1, end).replace(/\\(.)/gs, '$1'), length: end + 1 }
  }
  const number = /^[+-]?[\d.]+/.exec(text)
  if (number) {
    const value = Number(number[0])
    if (Number.isNaN(value)) throw new JsonPathError(`cannot parse number ${number[0]}`)
    return { value, length: number[0].length }
  }
  const word = /^[\p{L}\p{Nd}_][^\s.,[\]$@{}]*/u.exec(text)?.[0]
  if (word === 'true' || word === 'false') return { value: word === 'true', length: word.length }
  if (word !== undefined) throw new JsonPathError(`unrecognized identifier ${word}`)
  throw new JsonPathError(`unrecognized character in action: ${text[0]}`)
}

function endOfQuoted(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === text[start] && text[at - 1] !== '\\') return at
  }
  throw new JsonPathError('unterminated quoted string')
}

/** Index of the closing `)`, before `]`. One quoted string may hold brackets. */
function endOfFilter(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    const character = text[at]
    if (character === '"' || character === "'") at = endOfQuoted(text, at)
    else if (character === ')') {
      if (text[at + 1] !== ']') throw new JsonPathError('unclosed array expect ]')
      return at
    }
  }
  throw new JsonPathError('unterminated filter')
}

function fieldStep(name: string): Step {
  if (name === '*') return wildcard
  return field(name.replaceAll('\\', ''))
}

function field(name: string): Step {
  return (values) => {
    const found: unknown[] = []
    for (const value of values) if (isObject(value) && Object.hasOwn(value, name)) found.push(value[name])
    return found
  }
}

function wildcard(values: readonly unknown[]): unknown[] {
  return gather(values, membersOf, (members) => members)
}

/** What `choose` takes of the members of each value. */
function gather(
  values: readonly unknown[],
  members: (value: unknown) => readonly unknown[],
  choose: (members: readonly unknown[]) => readonly unknown[],
): unknown[] {
  let seen = 0
  return values.flatMap((value) => {
    const all = members(value)
    seen += all.length
    refuseTooMany(seen)
    return choose(all)
  })
}

function membersOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value
  return isObject(value) ? Object.values(value) : []
}

/** Every value that has members, at any depth, outer ones first. */
function descend(values: readonly unknown[]): unknown[] {
  const found: unknown[] = []
  const pending = [...values].reverse()
  while (pending.length > 0) {
    const value = pending.pop()
    const members = membersOf(value)
    if (members.length === 0) continue
    found.push(value)
    refuseTooMany(found.length)
    for (let index = members.length - 1; index >= 0; index--) pending.push(members[index])
  }
  return found
}

function brackets(content: string): Step {
  if (content === '*') return slice(undefined, undefined, undefined)
  const parts = content.split(',')
  if (parts.length > 1) {
    const steps = parts.map((part) => brackets(part.trim()))
    return (values) => {
      refuseTooMany(values.length * steps.length)
      let results = 0
      return steps.flatMap((step) => {
        const found = step(values)
        results += found.length
        refuseTooMany(results)
        return found
      })
    }
  }
  const key = /^'([^']*)'$/.exec(content)
  if (key) {
    const steps = parse(`.${key[1]}`)
    return (values) => run(steps, values)
  }
  const range = /^(-?\d*)(:-?\d*)?(:-?\d*)?$/.exec(content)
  if (!range) throw new JsonPathError(`invalid array index ${content}`)
  const [start, end, step] = range.slice(1).map((part, index) => {
    const digits = index > 0 ? part?.slice(1) : part
    if (!digits) return undefined
    if (!/^-?\d+$/.test(digits)) throw new JsonPathError(`array index ${digits} is not a number`)
    return Number(digits)
  })
  return range[2] === undefined ? at(start ?? 0) : slice(start, end, step)
}

function at(position: number): Step {
  return (values) => {
    const found: unknown[] = []
    for (const value of values) {
      if (value === null) continue
      const list = expectArray(value)
      const index = position < 0 ? position + list.length : position
      if (index < 0 || index >= list.length) outOfBounds(index, list)
      found.push(list[index])
    }
    return found
  }
}

function slice(start: number | undefined, end: number | undefined, step: number | undefined): Step {
  return (values) => {
    const found: unknown[] = []
    for (const value of values) {
      if (value === null) continue
      const list = expectArray(value)
      const from = start === undefined ? 0 : start < 0 ? start + list.length : start
      const to = end === undefined ? list.length : end < 0 ? end + list.length : end
      if (from === to) return []
      if (from < 0 || from >= list.length) outOfBounds(from, list)
      if (to < 0 || to > list.length) outOfBounds(to - 1, list)
      if (from > to) throw new JsonPathError(`starting index ${from} is greater than ending index ${to}`)
      if (step !== undefined && step <= 0) throw new JsonPathError('step must be > 0')
      for (let index = from; index < to; index += step ?? 1) found.push(list[index])
      refuseTooMany(found.length)
    }
    return found
  }
}

function expectArray(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new JsonPathError(`${isObject(value) ? 'map' : typeof value} is not array or slice`)
  return value
}

function outOfBounds(index: number, list: readonly unknown[]): never {
  throw new JsonPathError(`array index out of bounds: index ${index}, length ${list.length}`)
}

function filter(condition: string): Step {
  const comparison = /^([^!<>=]+)([!<>=]+)(.+)$/s.exec(condition)
  const left = parse((comparison?.[1] ?? condition).trim())
  const right = comparison ? parse((comparison[3] as string).trim()) : undefined
  const operator = comparison?.[2] as string
  if (comparison && !Object.hasOwn(COMPARE, operator)) {
    throw new JsonPathError(`unrecognized filter operator ${operator}`)
  }
  return (values) =>
    gather(values, expectArray, (items) => items.filter((item) => matches(item, left, operator, right)))
}

function matches(item: unknown, left: readonly Step[], operator: string, right: readonly Step[] | undefined): boolean {
  const lefts = run(left, [item])
  if (!right || lefts.length === 0) return lefts.length > 0 && !right
  const rights = run(right, [item])
  if (rights.length === 0) return false
  if (lefts.length > 1 || rights.length > 1) throw new JsonPathError('can only compare one element at a time')
  const [a, b] = [lefts[0], rights[0]]
  if (typeof a !== typeof b || typeof a === 'object') {
    throw new JsonPathError('incompatible types for comparison')
  }
  return (COMPARE as Record<string, (a: never, b: never) => boolean>)[operator]?.(a as never, b as never) ?? false
}

const COMPARE = {
  '==': (a: string, b: string) => a === b,
  '!=': (a: string, b: string) => a !== b,
  '<': (a: string, b: string) => a < b,
  '<=': (a: string, b: string) => a <= b,
  '>': (a: string, b: string) => a > b,
  '>=': (a: string, b: string) => a >= b,
} as const
