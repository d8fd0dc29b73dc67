/**
 * Validation of values against their schema, with the rules, words and error types of kube-apiserver's validation of
 * custom resources (kube-openapi's validator, then embedded metadata, list types and CEL rules).
 */
import { deepEqual, isObject, type JsonObject } from '../patch/json-value.ts'
import { goQuote, invalidValue, required, tooLong, tooMany } from '../registry/field-error.ts'
import type { FieldError } from '../status-error.ts'
import { ABSENT } from './absent.ts'
import { isAccepted, noteForgiven } from './accepted.ts'
import { canonicalJson } from './canonical-json.ts'
import { type Correlation, correlate, correlatedItems, correlatedMember, isUnchanged } from './correlation.ts'
import { validateEmbeddedResources } from './embedded-resource.ts'
import { formatCheck } from './format.ts'
import { goNumber, goValue, isInteger } from './go-value.ts'
import { validateListTypes } from './list-type.ts'
import { nodeOf, type SchemaNode } from './node.ts'
import { compilePattern, PatternError } from './pattern.ts'
import { validateRules } from './rules.ts'
import type { Schema } from './schema.ts'

export { ABSENT }

// Schemas may refer to themselves; no object is as deep as this, and the stack allows it.
const MAXIMUM_DEPTH = 1_000

/**
 * Everything that is wrong with `value`, defaulted and pruned before; empty where it is valid.
 *
 *     validate({ type: 'object', properties: { replicas: { type: 'integer' } } }, { replicas: 'x' }, 'spec')
 *     // [{ type: 'FieldValueTypeInvalid', field: 'spec.replicas',
 *     //    message: 'Invalid value: "string": replicas in body must be of type integer: "string"' }]
 *
 * @param path of the value in its object; it is put before the field of each error
 * @param current the value that is replaced. What is wrong but unchanged is then no error (Kubernetes' ratcheting), and
 *   rules about transitions are checked.
 */
export function validate(schema: Schema, value: unknown, path = '', current: unknown = ABSENT): FieldError[] {
  const accepted = isAccepted(schema, current) ? current : ABSENT
  const { errors, forgave } = validateSchema(schema, value, path, current, accepted !== ABSENT)
  if (forgave) noteForgiven(value)
  errors.push(...validateEmbeddedResources(schema, value, path, accepted))
  errors.push(...listTypeErrors(schema, value, path, current))
  errors.push(...rulesErrors(schema, value, { path, current, others: errors }))
  return errors
}

/**
 * Validation of a write to the status subresource: the schema is applied to `status` alone, list types and rules to the
 * whole object.
 */
export function validateStatus(schema: Schema, next: JsonObject, current: JsonObject): FieldError[] {
  const errors: FieldError[] = []
  const status = nodeOf(schema).property('status')
  if (status && Object.hasOwn(next, 'status')) {
    const before = Object.hasOwn(current, 'status') ? current['status'] : ABSENT
    const found = validateSchema(status.schema, next['status'], 'status', before, isAccepted(schema, current))
    if (found.forgave) noteForgiven(next)
    errors.push(...found.errors)
  }
  errors.push(...listTypeErrors(schema, next, '', current))
  errors.push(...rulesErrors(schema, next, { path: '', current, others: errors }))
  return errors
}

function listTypeErrors(schema: Schema, value: unknown, path: string, current: unknown): FieldError[] {
  const errors = validateListTypes(schema, value, path, isAccepted(schema, current) ? current : ABSENT)
  const isForgiven = errors.length > 0 && current !== ABSENT && validateListTypes(schema, current, path).length > 0
  if (!isForgiven) return errors
  noteForgiven(value)
  return []
}

function rulesErrors(
  schema: Schema,
  value: unknown,
  options: { path: string; current: unknown; others: readonly FieldError[] },
): FieldError[] {
  return validateRules(schema, value, { ...options, isResource: true, accepted: isAccepted(schema, options.current) })
}

/** The part of `validate` that OpenAPI knows: types, bounds, formats, required fields, logic. */
function validateSchema(
  schema: Schema,
  value: unknown,
  path: string,
  current: unknown,
  skipsShared: boolean,
): { errors: FieldError[]; forgave: boolean } {
  const state = newState(path, { asWritten: false, skipsShared })
  check(planOf(nodeOf(schema)), value, current === ABSENT ? undefined : correlate(schema, current), state, '')
  return { errors: state.failures.map((failure) => failure.error), forgave: state.forgiveness.used }
}

/**
 * The same for a default, which Kubernetes holds against the schema as it is written: int-or-string is no type there, and
 * a value without a type has to be of its format even where nobody checks it (7 is no `int32`, being an int64 in Go).
 */
export function validateDefault(schema: Schema, path: string): FieldError[] {
  const state = newState(path, { asWritten: true, skipsShared: false })
  check(planOf(nodeOf(schema)), schema.default, undefined, state, '')
  return state.failures.map((failure) => failure.error)
}

interface Failure {
  /** What the validator says, by which it drops repetitions. */
  text: string
  error: FieldError
}

interface State {
  failures: Failure[]
  /** How many checks were passed: of several alternatives that fail, the one that came furthest is reported. */
  matched: number
  prefix: string
  depth: number
  asWritten: boolean
  /** Whether parts of the accepted current value need no look where they are found again. */
  skipsShared: boolean
  /** Whether what is wrong was passed over because it had not changed. */
  forgiveness: { used: boolean }
}

function newState(prefix: string, options: Pick<State, 'asWritten' | 'skipsShared'>): State {
  return { failures: [], matched: 0, prefix, depth: 0, forgiveness: { used: false }, ...options }
}

/** What validation has to know of a node beyond the node itself. */
interface Plan extends Typing {
  node: SchemaNode
  schema: Schema
  /** Of formats that Kubernetes checks; every other one counts as none. */
  format: ((text: string) => boolean) | undefined
  logical: boolean
  asWritten: Typing
}

interface Typing {
  types: readonly string[]
  formatName: string | undefined
  numeric: boolean
}

function typingOf(types: readonly string[], formatName: string | undefined): Typing {
  return { types, formatName, numeric: types.includes('integer') || types.includes('number') }
}

const plans = new WeakMap<SchemaNode, Plan>()

function planOf(node: SchemaNode): Plan {
  let plan = plans.get(node)
  if (!plan) {
    plan = makePlan(node)
    plans.set(node, plan)
  }
  return plan
}

function makePlan(node: SchemaNode): Plan {
  const { schema } = node
  const written = schema.type ? [schema.type] : []
  const types = schema['x-kubernetes-int-or-string'] ? ['integer', 'string'] : written
  const format = formatCheck(schema.format)
  return {
    node,
    schema,
    ...typingOf(types, format && schema.format),
    asWritten: typingOf(written, schema.format),
    format,
    logical: Boolean(schema.allOf || schema.anyOf || schema.oneOf || schema.not),
  }
}

function check(plan: Plan, value: unknown, current: Correlation | undefined, state: State, name: string): void {
  if (state.skipsShared && typeof value === 'object' && current?.value === value) return
  if (state.depth >= MAXIMUM_DEPTH) return failAt(state, name, `${name} in body is nested too deeply`, '')
  state.depth++
  const before = state.failures.length
  checkNode(plan, value, current, state, name)
  state.depth--
  if (state.failures.length === before || !isUnchanged(current, value)) return
  state.failures.length = before
  state.forgiveness.used = true
}

function checkNode(plan: Plan, value: unknown, current: Correlation | undefined, state: State, name: string): void {
  if (value === null) checkNull(plan, state, name)
  else checkPresent(plan, value, current, state, name)
}

function checkNull(plan: Plan, state: State, name: string): void {
  const { types } = state.asWritten ? plan.asWritten : plan
  if (types.length > 0 && !plan.schema.nullable) failType(state, name, types.join(','), 'null')
  else state.matched++
  checkEnum(plan, null, state, name)
}

function checkPresent(plan: Plan, value: unknown, current: Correlation | undefined, state: State, name: string): void {
  const typing = state.asWritten ? plan.asWritten : plan
  if ((typing.types.length > 0 || typing.formatName) && checkType(typing, value, state, name)) state.matched++
  if (plan.logical) checkLogic(plan.schema, value, state, name)
  if (typeof value === 'string') checkString(plan, value, state, name)
  else if (typeof value === 'number') checkNumber(plan.schema, value, state, name)
  else if (Array.isArray(value)) checkArray(plan, value, current, state, name)
  state.matched++
  checkEnum(plan, value, state, name)
  if (isObject(value)) checkObject(plan, value, current, state, name)
  // What applies to any value: type, logic (twice), the whole.
  state.matched += 4
}

function typeOf(value: unknown): string {
  if (typeof value === 'number') return isInteger(value) ? 'integer' : 'number'
  return Array.isArray(value) ? 'array' : typeof value
}

function checkType({ types, formatName, numeric }: Typing, value: unknown, state: State, name: string): boolean {
  const type = typeOf(value)
  if (types.includes(type) || (type === 'integer' && types.includes('number'))) return true
  const textual = type === 'string' || type === 'array'
  if (formatName && textual && !numeric) return true
  const format = type === 'integer' ? 'int64' : type === 'number' ? 'float64' : ''
  if (formatName && !textual && format !== formatName) failType(state, name, formatName, format)
  else failType(state, name, types.join(','), type)
  return false
}

function checkString(plan: Plan, value: string, state: State, name: string): void {
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
    if (!compilePattern(pattern).test(value)) failAt(state, name, `${name} in body should match '${pattern}'`, value)
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

function checkNumber(schema: Schema, value: number, state: State, name: string): void {
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

function checkArray(
  plan: Plan,
  value: readonly unknown[],
  current: Correlation | undefined,
  state: State,
  name: string,
): void {
  const { minItems, maxItems, uniqueItems } = plan.schema
  if (plan.node.items) {
    const child = planOf(plan.node.items)
    const counterpart = correlatedItems(current)
    for (let index = 0; index < value.length; index++) {
      check(child, value[index], counterpart(value[index]), state, `${name}[${index}]`)
    }
  }
  const size = value.length
  if (minItems !== undefined && size < minItems) {
    failAt(state, name, `${name} in body should have at least ${minItems} items`, size)
  }
  if (maxItems !== undefined && size > maxItems) {
    const said = `${name} in body should have at most ${maxItems} items`
    fail(state, said, tooMany(at(state, name), size, maxItems))
  }
  if (uniqueItems && new Set(value.map((item) => canonicalJson(item))).size < size) {
    failAt(state, name, `${name} in body shouldn't contain duplicates`, '')
  }
  state.matched += 2
}

function checkEnum(plan: Plan, value: unknown, state: State, name: string): void {
  const allowed = plan.schema.enum
  if (!allowed || allowed.length === 0 || allowed.some((one) => one === value || deepEqual(one, value))) return
  const supported = allowed.map((one) => (typeof one === 'string' ? one : canonicalJson(one)))
  fail(state, `${name} in body should be one of [${supported.join(' ')}]`, {
    type: 'FieldValueNotSupported',
    field: at(state, name),
    message: `Unsupported value: ${goValue(value)}: supported values: ${supported.map(goQuote).join(', ')}`,
  })
}

function checkObject(
  plan: Plan,
  value: JsonObject,
  current: Correlation | undefined,
  state: State,
  name: string,
): void {
  const { minProperties, maxProperties, required: needed } = plan.schema
  const keys = Object.keys(value)
  if (minProperties !== undefined && keys.length < minProperties) {
    failAt(state, name, `${name} in body should have at least ${minProperties} properties`, keys.length)
  }
  if (maxProperties !== undefined && keys.length > maxProperties) {
    const said = `${name} in body should have at most ${maxProperties} properties`
    fail(state, said, tooMany(at(state, name), keys.length, maxProperties))
  }
  for (const key of keys) {
    const child = plan.node.property(key)
    const was = correlatedMember(current, key)
    if (child) {
      const type = name === '' && state.depth === 1 && (key === 'apiVersion' || key === 'kind')
      check(planOf(child), value[key], type ? undefined : was, state, name === '' ? key : `${name}.${key}`)
    } else if (plan.node.additional) check(planOf(plan.node.additional), value[key], was, state, `${name}.${key}`)
    else if (plan.schema.additionalProperties === false)
      failAt(state, name, `${name}.${key} in body is a forbidden property`, key)
  }
  if (!needed) return
  for (const key of needed) {
    if (Object.hasOwn(value, key)) continue
    const missing = `${name}.${key}`
    fail(state, `${missing} in body is required`, required(at(state, missing)))
  }
}

function checkLogic(schema: Schema, value: unknown, state: State, name: string): void {
  const attempt = (branch: Schema): State => {
    const inner: State = { ...state, failures: [], matched: 0 }
    // Kubernetes forgives nothing inside of a branch, only the whole that it decides about.
    checkNode(planOf(nodeOf(branch)), value, undefined, inner, name)
    return inner
  }
  if (schema.anyOf?.length) checkAnyOf(schema.anyOf.values().map(attempt), state, name)
  if (schema.oneOf?.length) checkOneOf(schema.oneOf.map(attempt), state, name)
  if (schema.allOf?.length) {
    const results = schema.allOf.map(attempt)
    for (const result of results) merge(state, result)
    const passed = results.filter((result) => result.failures.length === 0).length
    if (passed < results.length) {
      failWhole(
        state,
        `${goQuote(name)} must validate all the schemas (allOf)${passed === 0 ? '. None validated' : ''}`,
      )
    }
  }
  if (schema.not && attempt(schema.not).failures.length === 0) {
    failWhole(state, `${goQuote(name)} must not validate the schema (not)`)
  }
}

function checkAnyOf(results: Iterable<State>, state: State, name: string): void {
  let best: State | undefined
  for (const result of results) {
    if (result.failures.length === 0) return merge(state, result)
    if (!best || result.matched > best.matched) best = result
  }
  failWhole(state, `${goQuote(name)} must validate at least one schema (anyOf)`)
  if (best) merge(state, best)
}

function checkOneOf(results: readonly State[], state: State, name: string): void {
  const passed = results.filter((result) => result.failures.length === 0)
  if (passed.length === 1) return merge(state, passed[0] as State)
  const found = passed.length === 0 ? 'Found none valid' : `Found ${passed.length} valid alternatives`
  failWhole(state, `${goQuote(name)} must validate one and only one schema (oneOf). ${found}`)
  // Failures before the first alternative that passes are forgotten by it, those after it never kept.
  if (passed.length > 0) return
  merge(
    state,
    results.reduce((best, result) => (result.matched > best.matched ? result : best)),
  )
}

function merge(state: State, other: State): void {
  for (const failure of other.failures) fail(state, failure.text, failure.error)
  state.matched += other.matched
}

function fail(state: State, text: string, error: FieldError): void {
  if (!state.failures.some((failure) => failure.text === text)) state.failures.push({ text, error })
}

function failAt(state: State, name: string, text: string, value: unknown): void {
  const message = `Invalid value: ${goValue(value)}: ${text}`
  fail(state, text, { type: 'FieldValueInvalid', field: at(state, name), message })
}

function failType(state: State, name: string, type: string, found: string): void {
  const text = `${name} in body must be of type ${type}: ${goQuote(found)}`
  fail(state, text, { ...invalidValue(at(state, name), found, text), type: 'FieldValueTypeInvalid' })
}

/** Failures of logic belong to no field of their own. */
function failWhole(state: State, text: string): void {
  fail(state, text, invalidValue(state.prefix || '<nil>', '', text))
}

/** The path of the error: what was given as the place of the value, then the name inside of it. */
function at(state: State, name: string): string {
  const inner = name.startsWith('.') ? name.slice(1) : name
  if (inner === '') return state.prefix || '<nil>'
  return state.prefix ? `${state.prefix}.${inner}` : inner
}
