/** What one validation has found so far, and how it is said. */
import { goQuote, invalidValue } from '../registry/field-error.ts'
import type { FieldError } from '../status-error.ts'
import { goValue } from './go-value.ts'
import type { Matching } from './pattern.ts'

interface Failure {
  /** What the validator says, by which it drops repetitions. */
  text: string
  error: FieldError
}

export interface State {
  readonly failures: Failure[]
  /** The texts of the failures. */
  readonly said: Set<string>
  /** How many checks were passed: of several alternatives that fail, the one that came furthest is reported. */
  matched: number
  prefix: string
  depth: number
  asWritten: boolean
  /** Whether parts of the accepted current value need no look where they are found again. */
  skipsShared: boolean
  readonly matching: Matching
  /** Whether what is wrong was passed over because it had not changed. */
  forgiveness: { used: boolean }
}

export function newState(prefix: string, options: Pick<State, 'asWritten' | 'skipsShared'>): State {
  return {
    failures: [],
    said: new Set(),
    matched: 0,
    prefix,
    depth: 0,
    matching: { work: 0, ms: 0 },
    forgiveness: { used: false },
    ...options,
  }
}

export function merge(state: State, other: State): void {
  for (const failure of other.failures) fail(state, failure.text, failure.error)
  state.matched += other.matched
}

export function fail(state: State, text: string, error: FieldError): void {
  if (state.said.has(text)) return
  state.said.add(text)
  state.failures.push({ text, error })
}

/** @param count how many there were when what is forgiven began */
export function forgive({ failures, said, forgiveness }: State, count: number): void {
  for (const { text } of failures.splice(count)) said.delete(text)
  forgiveness.used = true
}

export function failAt(state: State, name: string, text: string, value: unknown): void {
  fail(state, text, {
    type: 'FieldValueInvalid',
    field: at(state, name),
    get message() {
      return `Invalid value: ${goValue(value)}: ${text}`
    },
  })
}

export function failType(state: State, name: string, type: string, found: string): void {
  const text = `${name} in body must be of type ${type}: ${goQuote(found)}`
  fail(state, text, { ...invalidValue(at(state, name), found, text), type: 'FieldValueTypeInvalid' })
}

/** Failures of logic belong to no field of their own. */
export function failWhole(state: State, text: string): void {
  fail(state, text, invalidValue(state.prefix || '<nil>', '', text))
}

/** The path of the error: what was given as the place of the value, then the name inside of it. */
export function at(state: State, name: string): string {
  const inner = name.startsWith('.') ? name.slice(1) : name
  if (inner === '') return state.prefix || '<nil>'
  return state.prefix ? `${state.prefix}.${inner}` : inner
}
