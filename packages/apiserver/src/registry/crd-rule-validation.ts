/** Validation of the CEL rules in the schema of a CustomResourceDefinition. */
import type { ValidationRule } from '@caisson/api'
import type { Declaration } from '../schema/cel/schema-types.ts'
import { type CompiledRule, compileRule, selfOf, selfOfProperty } from '../schema/rule-tree.ts'
import type { Schema } from '../schema/schema.ts'
import { SchemaPathError, schemaAt } from '../schema/schema-path.ts'
import type { FieldError } from '../status-error.ts'
import { forbidden, invalidValue, notSupported, required } from './field-error.ts'

const REASONS = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired']

/** What Kubernetes allows one rule to cost by its estimate, and all rules of a schema. */
const RULE_LIMIT = 10_000_000
const SCHEMA_LIMIT = 100_000_000
const MAXIMUM_REQUEST = 3 * 1024 * 1024

/** Where a rule stands: what `self` is, how often there can be one, and what all rules cost together. */
export interface RuleScope {
  /** Undefined where rules can see nothing. */
  self(): Declaration | undefined
  /** Undefined where the schema sets no bound. */
  readonly cardinality: number | undefined
  readonly total: TotalCost
  items(schema: Schema): RuleScope
  additionalProperties(schema: Schema): RuleScope
  property(schema: Schema, key: string): RuleScope
}

interface TotalCost {
  sum: number
  /** Above a hundredth of the limit. */
  expensive: Array<{ path: string; cost: number }>
}

export function rootRuleScope(schema: Schema): RuleScope {
  return ruleScope(schema, { self: () => selfOf(schema, true), isResource: true, cardinality: 1, total: noCost() })
}

function noCost(): TotalCost {
  return { sum: 0, expensive: [] }
}

interface ScopeOptions {
  self: () => Declaration | undefined
  isResource: boolean
  cardinality: number | undefined
  total: TotalCost
}

function ruleScope(schema: Schema, { self, isResource, cardinality, total }: ScopeOptions): RuleScope {
  const elements = maximumElements(schema)
  const inner = cardinality === undefined || elements === undefined ? undefined : cardinality * elements
  const child = (part: Schema, self: () => Declaration | undefined): RuleScope =>
    ruleScope(part, { self, isResource: part['x-kubernetes-embedded-resource'] === true, cardinality: inner, total })
  return {
    self,
    cardinality,
    total,
    items: (part) => child(part, () => selfOf(part)),
    additionalProperties: (part) => child(part, () => selfOf(part)),
    property: (part, key) => child(part, () => selfOfProperty(schema, isResource, key)),
  }
}

function maximumElements({ type, additionalProperties, maxProperties, maxItems }: Schema): number | undefined {
  if (type === 'array') return maxItems === undefined ? undefined : Math.max(0, maxItems)
  if (type !== 'object' || additionalProperties === undefined) return 1
  return maxProperties === undefined ? undefined : Math.max(0, maxProperties)
}

/** Compiles the rules of a schema, and estimates their cost. */
export function validateSchemaRules(
  schema: Schema,
  path: string,
  scope: RuleScope,
  uncorrelatable: string | undefined,
): FieldError[] {
  const self = scope.self()
  if (!self) {
    const said =
      'Internal error: internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations'
    return [{ type: 'InternalError', field: `${path}.x-kubernetes-validations`, message: said }]
  }
  const times = scope.cardinality ?? Math.floor(MAXIMUM_REQUEST / (self.minSize + 1))
  return (schema['x-kubernetes-validations'] ?? []).flatMap((rule, index) => {
    const at = `${path}.x-kubernetes-validations[${index}]`
    const compiled = compileRule(rule, self)
    return [...costErrors(compiled, at, times, scope.total), ...usageErrors(compiled, at, uncorrelatable)]
  })
}

function costErrors(compiled: CompiledRule, at: string, times: number, total: TotalCost): FieldError[] {
  const { rule, program, error, messageProgram, messageError } = compiled
  const errors: FieldError[] = []
  const observe = (cost: number, field: string, name: string): void => {
    const place = `${at}.${field}`
    if (cost > RULE_LIMIT) errors.push(forbidden(place, exceeds(name, cost, RULE_LIMIT)))
    total.sum += cost
    if (cost >= SCHEMA_LIMIT / 100) total.expensive.push({ path: place, cost })
  }
  const estimate = program ? program.estimate() : 0
  observe(estimate === 0 ? 0 : estimate * times, 'rule', 'estimated rule cost')
  if (error !== undefined) errors.push(invalidRule(`${at}.rule`, rule, error))
  if (messageError !== undefined) errors.push(invalidRule(`${at}.messageExpression`, rule, messageError))
  else if (messageProgram) observe(messageProgram.estimate(), 'messageExpression', 'estimated messageExpression cost')
  return errors
}

function usageErrors({ rule, program }: CompiledRule, at: string, uncorrelatable: string | undefined): FieldError[] {
  if (program?.usesOldSelf) {
    if (uncorrelatable === undefined) return []
    const said = `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelatable}`
    return [invalidValue(`${at}.rule`, rule.rule, said)]
  }
  if (rule.optionalOldSelf === undefined) return []
  return [invalidValue(`${at}.optionalOldSelf`, rule.optionalOldSelf, 'may not be set if oldSelf is not used in rule')]
}

/** Kubernetes prints the whole rule, by the names that its fields have in Go. */
function invalidRule(field: string, rule: ValidationRule, error: string): FieldError {
  const value = {
    Rule: rule.rule,
    Message: rule.message ?? '',
    MessageExpression: rule.messageExpression ?? '',
    Reason: rule.reason ?? null,
    FieldPath: rule.fieldPath ?? '',
    OptionalOldSelf: rule.optionalOldSelf ?? null,
  }
  return invalidValue(field, value, error)
}

function exceeds(name: string, cost: number, limit: number): string {
  const factor = cost / limit
  const times = factor > 100 ? 'more than 100x' : `${factor.toFixed(factor < 1.5 ? 6 : 1)}x`
  return `${name} exceeds budget by factor of ${times} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`
}

/** What all rules together may cost. */
export function totalCostErrors({ total }: RuleScope, path: string): FieldError[] {
  if (total.sum <= SCHEMA_LIMIT) return []
  const said = 'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema'
  const expensive = total.expensive.sort((a, b) => b.cost - a.cost).slice(0, 4)
  const name = 'x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema'
  return [
    ...expensive.map((rule) => forbidden(rule.path, said)),
    forbidden(path, exceeds(name, total.sum, SCHEMA_LIMIT)),
  ]
}

/** Everything but the expressions themselves. */
export function validateRuleTexts(schema: Schema, path: string): FieldError[] {
  return (schema['x-kubernetes-validations'] ?? []).flatMap((rule, index) => {
    const at = `${path}.x-kubernetes-validations[${index}]`
    const { rule: text, message, messageExpression, reason, fieldPath } = rule
    const errors: FieldError[] = []
    if (text.trim() === '') errors.push(required(`${at}.rule`, 'rule is not specified'))
    else if (message && message.trim() === '') {
      errors.push(invalidValue(`${at}.message`, message, 'must be non-empty if specified'))
    } else if (message && hasNewlines(message.trim())) {
      errors.push(invalidValue(`${at}.message`, message, 'must not contain line breaks'))
    } else if (hasNewlines(text.trim()) && !message?.trim()) {
      errors.push(required(`${at}.message`, 'message must be specified if rule contains line breaks'))
    }
    if (messageExpression && messageExpression.trim() === '') {
      errors.push(required(`${at}.messageExpression`, 'messageExpression must be non-empty if specified'))
    }
    if (reason !== undefined && !REASONS.includes(reason)) errors.push(notSupported(`${at}.reason`, reason, REASONS))
    if (fieldPath) errors.push(...validateFieldPath(schema, fieldPath, `${at}.fieldPath`))
    return errors
  })
}

function validateFieldPath(schema: Schema, fieldPath: string, at: string): FieldError[] {
  const errors: FieldError[] = []
  if (fieldPath.trim() === '') errors.push(invalidValue(at, fieldPath, 'must be non-empty if specified'))
  if (hasNewlines(fieldPath)) errors.push(invalidValue(at, fieldPath, 'must not contain line breaks'))
  try {
    schemaAt(schema, fieldPath)
  } catch (error) {
    if (!(error instanceof SchemaPathError)) throw error
    errors.push(invalidValue(at, fieldPath, 'must be a valid path'))
  }
  return errors
}

function hasNewlines(text: string): boolean {
  return /[\n\r]/.test(text)
}
