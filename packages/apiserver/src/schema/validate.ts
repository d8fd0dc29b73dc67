/**
 * Validation of values against their schema, with the rules, words and error types of kube-apiserver's validation of
 * custom resources (kube-openapi's validator, then embedded metadata, list types and CEL rules).
 */
import type { JsonObject } from '../patch/json-value.ts'
import type { FieldError } from '../status-error.ts'
import { ABSENT } from './absent.ts'
import { isAccepted, noteForgiven } from './accepted.ts'
import { validateEmbeddedResources } from './embedded-resource.ts'
import { validateListTypes } from './list-type.ts'
import { nodeOf } from './node.ts'
import { validateRules } from './rules.ts'
import type { Schema } from './schema.ts'
import { validateSchema } from './validate-schema.ts'

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
 * @param before what is known to be wrong with the object already: rules are not looked at beside certain errors
 */
export function validate(
  schema: Schema,
  value: unknown,
  path = '',
  current: unknown = ABSENT,
  before: readonly FieldError[] = [],
): FieldError[] {
  const accepted = isAccepted(schema, current) ? current : ABSENT
  const { errors, forgave } = validateSchema(schema, value, path, current, accepted !== ABSENT)
  if (forgave) noteForgiven(value)
  errors.push(...validateEmbeddedResources(schema, value, path, accepted))
  errors.push(...listTypeErrors(schema, value, path, current))
  errors.push(...rulesErrors(schema, value, { path, current, others: [...before, ...errors] }))
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
