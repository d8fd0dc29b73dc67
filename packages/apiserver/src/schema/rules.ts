/** CEL rules (`x-kubernetes-validations`) of a schema, checked against a value, with the words of kube-apiserver. */
import type { ValidationRule } from '@caisson/api'
import { isObject, type JsonObject } from '../patch/json-value.ts'
import { duplicate, forbidden, goQuote, invalidValue, required } from '../registry/field-error.ts'
import type { FieldError } from '../status-error.ts'
import { ABSENT } from './absent.ts'
import { noteForgiven } from './accepted.ts'
import type { Outcome, Program, Variables } from './cel/program.ts'
import { toResourceValue, toValue } from './cel/schema-values.ts'
import { EvaluationError, NONE, Optional, type Value } from './cel/values.ts'
import { type Correlation, correlate, correlatedItems, correlatedMember, isUnchanged } from './correlation.ts'
import { type CompiledRule, type RuleNode, ruleTree } from './rule-tree.ts'
import type { Schema } from './schema.ts'
import { SchemaPathError, schemaAt } from './schema-path.ts'

export interface RulesOptions {
  path: string
  /** The value that is replaced, or `ABSENT`. */
  current: unknown
  /** What is wrong already: rules are not checked on values whose types are wrong. */
  others: readonly FieldError[]
  /** Whether the value is a whole resource, so that rules can read its type and metadata. */
  isResource: boolean
  /** What is left for several values that share it. */
  budget?: Budget
  /** Whether all rules were met by `current`: where it is found again they need not be asked. */
  accepted?: boolean
}

/** What rules may still cost. */
export interface Budget {
  remaining: number
}

/** For all rules of one value: about a second in Kubernetes. */
export function ruleBudget(): Budget {
  return { remaining: 10_000_000 }
}

const MAXIMUM_MESSAGE = 5 * 1024

const BLOCKING: ReadonlySet<FieldError['type']> = new Set([
  'FieldValueNotSupported',
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
])

export function validateRules(schema: Schema, value: unknown, options: RulesOptions): FieldError[] {
  const { path, current, others, isResource, budget = ruleBudget(), accepted = false } = options
  const tree = ruleTree(schema, isResource)
  if (!tree) return []
  if (others.some(({ type }) => BLOCKING.has(type))) {
    const said =
      'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation'
    return [invalidValue('<nil>', null, said)]
  }
  const old = current === ABSENT ? undefined : correlate(schema, current)
  const state: State = { errors: [], budget, stopped: false, accepted, forgiven: [] }
  visit(tree, { value, path, old, ratchet: old && { old, value }, isRoot: true }, state)
  if (state.forgiven.length > 0) noteForgiven(value, state.forgiven)
  return state.errors
}

type Evaluate = (program: Program) => Outcome

interface State {
  errors: FieldError[]
  budget: Budget
  stopped: boolean
  accepted: boolean
  /** Told to the client as warnings. */
  forgiven: string[]
}

interface Place {
  value: unknown
  path: string
  old: Correlation | undefined
  ratchet: Ratchet | undefined
  isRoot: boolean
}

/** The innermost part around a value that has a counterpart: if it has not changed, what is wrong in it is forgiven. */
interface Ratchet {
  old: Correlation
  value: unknown
  unchanged?: boolean
}

function visit(tree: RuleNode, place: Place, state: State): void {
  const { value, path, old } = place
  if (value === null || value === undefined) return
  // What rules about transitions say depends on both states being there, equal or not.
  if (state.accepted && typeof value === 'object' && old?.value === value && !tree.readsOldSelf) return
  checkRules(tree, place, state)
  if (Array.isArray(value)) {
    if (!tree.items) return
    const counterpart = correlatedItems(old)
    for (let index = 0; index < value.length && !state.stopped; index++) {
      const item: unknown = value[index]
      visit(tree.items, inner(place, item, `${path}[${index}]`, counterpart(item)), state)
    }
  } else if (isObject(value)) {
    for (const key of Object.keys(value)) {
      if (state.stopped) return
      visitMember(tree, place, value, key, state)
    }
  }
}

function visitMember(tree: RuleNode, place: Place, object: JsonObject, key: string, state: State): void {
  const { additional } = tree
  const child = additional ?? tree.property(key)
  if (!child) return
  const { path } = place
  const at = additional ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`
  const member = inner(place, object[key], at, correlatedMember(place.old, key))
  // Old and new objects are read in the same version: a change of their type would never be seen.
  if (place.isRoot && (key === 'apiVersion' || key === 'kind')) member.ratchet = undefined
  visit(child, member, state)
}

function inner(place: Place, value: unknown, path: string, old: Correlation | undefined): Place {
  return { value, path, old, ratchet: old ? { old, value } : place.ratchet, isRoot: false }
}

function checkRules(tree: RuleNode, place: Place, state: State): void {
  const { rules } = tree
  if (rules.length === 0) return
  if (state.budget.remaining <= 0) return outOfBudget(tree, place, state)
  const self = lazyValue(() => celValue(tree, place.value))
  const hasOld = place.old !== undefined && place.old.value !== null
  const oldSelf = lazyValue(() => celValue(tree, place.old?.value))
  for (const compiled of rules) {
    const { rule, program, error } = compiled
    if (error !== undefined) state.errors.push(invalid(tree, place, `rule compile error: ${error}`))
    else if (program && (hasOld || !program.usesOldSelf || rule.optionalOldSelf)) {
      const evaluate = (program: Program): Outcome =>
        program.run({
          self: self(),
          oldSelf: program.usesOldSelf ? seenOldSelf(rule, hasOld ? oldSelf() : undefined) : undefined,
        })
      checkRule(tree, { ...compiled, program }, place, evaluate, state)
      if (state.stopped) return
    }
  }
}

/** A value that does not fit its schema fails the rules that need it. */
function lazyValue(make: () => Value): () => Value | EvaluationError {
  let made: Value | EvaluationError | undefined
  return () => {
    if (made === undefined) {
      try {
        made = make()
      } catch (error) {
        if (!(error instanceof EvaluationError)) throw error
        made = error
      }
    }
    return made
  }
}

function celValue({ node, isResource }: RuleNode, json: unknown): Value {
  return isResource ? toResourceValue(json, node) : toValue(json, node)
}

function seenOldSelf({ optionalOldSelf }: ValidationRule, old: Variables['oldSelf']): Variables['oldSelf'] {
  if (!optionalOldSelf || old instanceof EvaluationError) return old
  return old === undefined ? NONE : new Optional(old)
}

function checkRule(
  tree: RuleNode,
  compiled: CompiledRule & { program: Program },
  place: Place,
  evaluate: Evaluate,
  state: State,
): void {
  const { rule, program } = compiled
  const outcome = evaluate(program)
  if (outcome.cost > state.budget.remaining) return outOfBudget(tree, place, state)
  state.budget.remaining -= outcome.cost
  if ('error' in outcome) {
    const { error } = outcome
    const name = (rule.message || rule.rule).trim()
    if (outcome.overLimit) {
      const said = `'${error}': no further validation rules will be run due to call cost exceeds limit for rule: ${name}`
      state.errors.push(invalid(tree, place, said))
      stop(state)
    } else if (error.startsWith('no such overload')) {
      const said = `'${error}': call arguments did not match a supported operator, function or macro signature for rule: ${name}`
      state.errors.push(invalid(tree, place, said))
    } else state.errors.push(invalid(tree, place, `${error} evaluating rule: ${name}`))
  } else if (outcome.value !== true) {
    const failure = describe(tree, compiled, place, evaluate, state)
    if (program.usesOldSelf || !isForgiven(place.ratchet)) state.errors.push(failure)
    else state.forgiven.push(`${failure.field}: ${failure.message}`)
  }
}

function isForgiven(ratchet: Ratchet | undefined): boolean {
  if (!ratchet) return false
  ratchet.unchanged ??= isUnchanged(ratchet.old, ratchet.value)
  return ratchet.unchanged
}

/** The error of a rule that is not met. */
function describe(
  tree: RuleNode,
  { rule, messageProgram }: CompiledRule,
  place: Place,
  evaluate: Evaluate,
  state: State,
): FieldError {
  const field = fieldOf(tree, rule, place)
  const type = tree.node.schema.type ?? ''
  const usual = rule.message ? rule.message.trim() : `failed rule: ${rule.rule.trim()}`
  if (!messageProgram) return errorFor(rule, field, type, usual)
  const outcome = evaluate(messageProgram)
  if (outcome.cost > state.budget.remaining) {
    stop(state)
    const said =
      'messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run'
    return invalidValue(field, type, said)
  }
  state.budget.remaining -= outcome.cost
  if (!('error' in outcome)) return errorFor(rule, field, type, usableMessage(outcome.value) ?? usual)
  if (!outcome.overLimit) return errorFor(rule, field, type, usual)
  stop(state)
  const source = goQuote(rule.messageExpression ?? '')
  const said = `no further validation rules will be run due to call cost exceeds limit for messageExpression: ${source}`
  return invalidValue(field, type, said)
}

function usableMessage(value: Value): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = value.trim()
  return text === '' || text.includes('\n') || Buffer.byteLength(text) > MAXIMUM_MESSAGE ? undefined : text
}

function errorFor({ reason }: ValidationRule, field: string, type: string, detail: string): FieldError {
  switch (reason) {
    case 'FieldValueForbidden':
      return forbidden(field, detail)
    case 'FieldValueRequired':
      return required(field, detail)
    case 'FieldValueDuplicate':
      return duplicate(field, type)
    default:
      return invalidValue(field, type, detail)
  }
}

function fieldOf({ node }: RuleNode, { fieldPath }: ValidationRule, { path }: Place): string {
  if (!fieldPath) return path || '<nil>'
  try {
    const inside = schemaAt(node.schema, fieldPath).path
    return path === '' ? inside : `${path}.${inside}`
  } catch (error) {
    if (error instanceof SchemaPathError) return path || '<nil>'
    throw error
  }
}

function invalid({ node }: RuleNode, { path }: Place, detail: string): FieldError {
  return invalidValue(path || '<nil>', node.schema.type ?? '', detail)
}

function outOfBudget(tree: RuleNode, place: Place, state: State): void {
  const said = 'validation failed due to running out of cost budget, no further validation rules will be run'
  state.errors.push(invalid(tree, place, said))
  stop(state)
}

function stop(state: State): void {
  state.stopped = true
  state.budget.remaining = 0
}
