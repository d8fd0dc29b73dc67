/** What a value is by itself: its type and format, its length and its bounds, whether it is one of those that may be. */
import { tooLong } from '../registry/field-error.ts'
import { canonicalJson } from './canonical-json.ts'
import { goNumber, goValue, isInteger } from './go-value.ts'
import { compilePattern, PatternError, testAmong } from './pattern.ts'
import type { Schema } from './schema.ts'
import type { Plan, Typing } from './validation-plan.ts'
import { at, fail, failAt, failType, type State } from './validation-state.ts'

function typeOf(value: unknown): string {
  if (typeof value === 'number') return isInteger(value) ? 'integer' : 'number'
  return Array.isArray(value) ? 'array' : typeof value
}

export function checkType({ types, formatName, numeric }: Typing, value: unknown, state: State, name: string): boolean {
  const type = typeOf(value)
  if (types.includes(type) || (type === 'integer' && types.includes('number'))) return true
  const textual = type === 'string' || type === 'array'
  if (formatName && textual && !numeric) return true
  const format = type === 'integer' ? 'int64' : type === 'number' ? 'float64' : ''
  if (formatName && !textual && format !== formatName) failType(state, name, formatName, format)
  else failType(state, name, types.join(','), type)
  return false
}

export function checkString(plan: Plan, value: string, state: State, name: string): void {
  const { maxLength, minLength, pattern } = plan.schema
  if (maxLength !== undefined || minLength !== undefined || pattern) checkText(plan.schema, value, state, name)
  state.matched++
  if (!plan.format) return
  if (!plan.format(value)) failType(state, name, plan.formatName as string, value)
  state.matched++
}

function checkText(schema: Schema, value: string, state: State, name: string): void {
  const { maxLength, minLength, pattern } = schema
  if (maxLength !== undefined && value.length > maxLength && characters(value) > maxLength) {
    return fail(state, `${name} in body should be at most ${maxLength} chars long`, tooLong(at(state, name), maxLength))
  }
  if (minLength !== undefined && characters(value) < minLength) {
    return failAt(state, name, `${name} in body should be at least ${minLength} chars long`, value)
  }
  if (!pattern) return
  try {
    if (!testAmong(state.matching, compilePattern(pattern), value))
      failAt(state, name, `${name} in body should match '${pattern}'`, value)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    const said = error.code === 'too-expensive' ? error.message : `pattern is invalid: ${error.message}`
    failAt(state, name, `${name} in body should match '${pattern}, but ${said}'`, value)
  }
}

/** Code points, as Go counts runes. */
function characters(text: string): number {
  let count = text.length
  for (let index = 0; index < text.length; index++) {
    if ((text.charCodeAt(index) & 0xfc00) === 0xd800 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00) count--
  }
  return count
}

export function checkNumber(schema: Schema, value: number, state: State, name: string): void {
  const { multipleOf, maximum, minimum, exclusiveMaximum, exclusiveMinimum } = schema
  // Go compares integers with the integer part of the bound.
  const whole = isInteger(value)
  if (multipleOf !== undefined) {
    const factor = whole ? Math.trunc(multipleOf) : multipleOf
    if (factor <= 0) {
      failAt(state, name, `factor MultipleOf declared for ${name} must be positive: ${goNumber(factor, whole)}`, factor)
    } else if (!Number.isInteger(factor < 1 ? (1 / factor) * value : value / factor)) {
      failAt(state, name, `${name} in body should be a multiple of ${goNumber(factor, whole)}`, value)
    }
  }
  if (maximum !== undefined) {
    const bound = whole ? Math.trunc(maximum) : maximum
    if (exclusiveMaximum ? value >= bound : value > bound) {
      const words = exclusiveMaximum ? 'less than' : 'less than or equal to'
      failAt(state, name, `${name} in body should be ${words} ${goNumber(bound, whole)}`, value)
    }
  }
  if (minimum !== undefined) {
    const bound = whole ? Math.trunc(minimum) : minimum
    if (exclusiveMinimum ? value <= bound : value < bound) {
      const words = exclusiveMinimum ? 'greater than' : 'greater than or equal to'
      failAt(state, name, `${name} in body should be ${words} ${goNumber(bound, whole)}`, value)
    }
  }
  state.matched += 2
}

export function checkEnum({ enumerated }: Plan, value: unknown, state: State, name: string): void {
  if (!enumerated || enumerated.texts.has(canonicalJson(value))) return
  fail(state, `${name} in body should be one of ${enumerated.digest}`, {
    type: 'FieldValueNotSupported',
    field: at(state, name),
    get message() {
      return `Unsupported value: ${goValue(value)}: supported values: ${enumerated.shown}`
    },
  })
}
