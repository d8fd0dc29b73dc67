/** Validation of the CEL rules in the schema of a CustomResourceDefinition. */
import { SchemaPathError, schemaAt } from '../schema/schema-path.ts'
import type { Schema } from '../schema/schema.ts'
import type { FieldError } from '../status-error.ts'
import { invalidValue, notSupported, required } from './field-error.ts'

const REASONS = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired']

/** Where a rule stands: what its cost is multiplied by, and what all rules cost together. */
export interface RuleScope {
  items(schema: Schema): RuleScope
  additionalProperties(schema: Schema): RuleScope
  property(schema: Schema, key: string): RuleScope
}

export function rootRuleScope(_schema: Schema): RuleScope {
  const scope: RuleScope = { items: () => scope, additionalProperties: () => scope, property: () => scope }
  return scope
}

export function totalCostErrors(_scope: RuleScope, _path: string): FieldError[] {
  return []
}

export function validateSchemaRules(
  _schema: Schema,
  _path: string,
  _scope: RuleScope,
  _uncorrelatable: string | undefined,
): FieldError[] {
  return []
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
