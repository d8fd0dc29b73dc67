/** CEL rules (`x-kubernetes-validations`) of a schema, checked against a value. */
import type { FieldError } from '../status-error.ts'
import type { Schema } from './schema.ts'

export interface RulesOptions {
  path: string
  current: unknown
  /** What is wrong already: rules are not checked on values whose types are wrong. */
  others: readonly FieldError[]
}

export function validateRules(_schema: Schema, _value: unknown, _options: RulesOptions): FieldError[] {
  return []
}
