/** `x-kubernetes-embedded-resource`: objects inside of objects carry a type and valid metadata. */
import type { ObjectMeta } from '@caisson/api'
import { isObject, type JsonObject } from '../patch/json-value.ts'
import { invalidValue, required } from '../registry/field-error.ts'
import { dns1035Label, nameIsPathSegment } from '../registry/names.ts'
import { validateObjectMeta } from '../registry/object-meta.ts'
import { below } from '../shown-path.ts'
import type { FieldError } from '../status-error.ts'
import { ABSENT } from './absent.ts'
import { resolve } from './builtin.ts'
import { goValue } from './go-value.ts'
import { decodeNative } from './native.ts'
import type { Schema } from './schema.ts'
import { visitParts } from './visit-parts.ts'

export const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'

/**
 * What is wrong with type and metadata of the resources inside of `value`.
 *
 * @param accepted a value with which nothing is wrong: parts that are the very same are not looked at
 */
export function validateEmbeddedResources(
  schema: Schema,
  value: unknown,
  path = '',
  accepted: unknown = ABSENT,
): FieldError[] {
  const errors: FieldError[] = []
  visitParts(resolve(schema), value, { path, accepted }, (schema, part, at) => {
    if (schema['x-kubernetes-embedded-resource'] && isObject(part)) checkResource(part, at, errors)
  })
  return errors
}

function checkResource(value: JsonObject, path: string, errors: FieldError[]): void {
  for (const field of ['apiVersion', 'kind']) {
    if (!Object.hasOwn(value, field)) errors.push(required(below(path, field)))
  }
  if (Object.hasOwn(value, 'apiVersion')) checkApiVersion(value['apiVersion'], below(path, 'apiVersion'), errors)
  if (Object.hasOwn(value, 'kind')) checkKind(value['kind'], below(path, 'kind'), errors)
  if (Object.hasOwn(value, 'metadata')) checkMetadata(value['metadata'], below(path, 'metadata'), errors)
}

function checkApiVersion(value: unknown, path: string, errors: FieldError[]): void {
  if (typeof value !== 'string') errors.push(notText(path, value))
  else if (value === '') errors.push(invalidValue(path, value, 'must not be empty'))
  else if (value.split('/').length > 2) {
    errors.push(invalidValue(path, value, `unexpected GroupVersion string: ${value}`))
  }
}

function checkKind(value: unknown, path: string, errors: FieldError[]): void {
  if (typeof value !== 'string') errors.push(notText(path, value))
  else if (value === '') errors.push(invalidValue(path, value, 'must not be empty'))
  else {
    const wrong = dns1035Label(value.toLowerCase())
    if (wrong.length === 0) return
    const said = `may have mixed case, but should otherwise match: ${wrong.join(',')}`
    errors.push(invalidValue(path, value, said))
  }
}

function checkMetadata(value: unknown, path: string, errors: FieldError[]): void {
  if (value === null) return
  if (!isObject(value)) {
    const type = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
    const said = `json: cannot unmarshal ${type} into Go value of type v1.ObjectMeta`
    errors.push({ type: 'FieldValueInvalid', field: path, message: `Invalid value: ${goValue(value)}: ${said}` })
    return
  }
  const { error } = decodeNative(OBJECT_META, value)
  if (error !== undefined) {
    errors.push({ type: 'FieldValueInvalid', field: path, message: `Invalid value: ${goValue(value)}: ${error}` })
    return
  }
  const metadata = value as ObjectMeta
  // Nothing says that an embedded object has a name already.
  errors.push(
    ...validateObjectMeta(
      { ...metadata, name: metadata.name || 'fakename' },
      { namespaced: Boolean(metadata.namespace), name: nameIsPathSegment, path },
    ),
  )
}

function notText(field: string, value: unknown): FieldError {
  return { type: 'FieldValueInvalid', field, message: `Invalid value: ${goValue(value)}: must be a string` }
}
