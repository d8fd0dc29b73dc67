/** The part of validation that OpenAPI knows, as kube-openapi's validator has it: types, bounds, formats, required fields, logic. */
import { isObject, type JsonObject } from '../patch/json-value.ts'
import { goQuote, required, tooMany } from '../registry/field-error.ts'
import { below } from '../shown-path.ts'
import type { FieldError } from '../status-error.ts'
import { ABSENT } from './absent.ts'
import { canonicalJson } from './canonical-json.ts'
import { checkEnum, checkNumber, checkString, checkType } from './check-scalars.ts'
import { type Correlation, correlate, correlatedItems, correlatedMember, isUnchanged } from './correlation.ts'
import { nodeOf } from './node.ts'
import type { Schema } from './schema.ts'
import { type Plan, planOf } from './validation-plan.ts'
import { at, fail, failAt, failType, failWhole, forgive, merge, newState, type State } from './validation-state.ts'

// Schemas may refer to themselves; no object is as deep as this, and the stack allows it.
const MAXIMUM_DEPTH = 1_000

/** @param skipsShared parts of the accepted current value need no look where they are found again */
export function validateSchema(
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
 * What is wrong with a schema's default, which Kubernetes holds against the schema as it is written: int-or-string is no type
 * there, and a value without a type has to be of its format even where nobody checks it (7 is no `int32`, being an int64 in
 * Go).
 */
export function validateDefault(schema: Schema, path: string): FieldError[] {
  const state = newState(path, { asWritten: true, skipsShared: false })
  check(planOf(nodeOf(schema)), schema.default, undefined, state, '')
  return state.failures.map((failure) => failure.error)
}

function check(plan: Plan, value: unknown, current: Correlation | undefined, state: State, name: string): void {
  if (state.skipsShared && typeof value === 'object' && current?.value === value) return
  if (state.depth >= MAXIMUM_DEPTH) return failAt(state, name, `${name} in body is nested too deeply`, '')
  state.depth++
  const before = state.failures.length
  checkNode(plan, value, current, state, name)
  state.depth--
  if (state.failures.length === before || !isUnchanged(current, value)) return
  forgive(state, before)
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
      check(child, value[index], counterpart(value[index]), state, below(name, `[${index}]`, ''))
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
      check(planOf(child), value[key], type ? undefined : was, state, below(name, key))
    } else if (plan.node.additional) check(planOf(plan.node.additional), value[key], was, state, below(name, key, '.'))
    else if (plan.schema.additionalProperties === false)
      failAt(state, name, `${below(name, key, '.')} in body is a forbidden property`, key)
  }
  if (!needed) return
  for (const key of needed) {
    if (Object.hasOwn(value, key)) continue
    const missing = below(name, key, '.')
    fail(state, `${missing} in body is required`, required(at(state, missing)))
  }
}

function checkLogic(schema: Schema, value: unknown, state: State, name: string): void {
  const attempt = (branch: Schema): State => {
    const inner: State = { ...state, failures: [], said: new Set(), matched: 0 }
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
