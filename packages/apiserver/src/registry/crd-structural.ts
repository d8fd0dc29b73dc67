/**
 * What makes a schema structural: every field is declared, with its type, outside of `allOf`, `anyOf`, `oneOf` and `not`,
 * which may only restrict what is declared. Without it nothing could be pruned or defaulted.
 */
import { deepEqual } from '../patch/json-value.ts'
import { compilePattern, PatternError } from '../schema/pattern.ts'
import type { Schema } from '../schema/schema.ts'
import type { FieldError } from '../status-error.ts'
import type { CrdSchema } from './crd.ts'
import { forbidden, invalidValue, required } from './field-error.ts'

type Level = 'root' | 'item' | 'field'

const INT_OR_STRING = [{ type: 'integer' }, { type: 'string' }]

/** Errors in the order of their text, as Kubernetes sorts them. */
export function validateStructural(schema: CrdSchema, path: string): FieldError[] {
  const errors: FieldError[] = []
  checkInvariants(schema, 'root', path, errors)
  checkCompleteness(schema, schema, path, path, errors)
  const texts = new Map(errors.map((error) => [error, `${error.field}: ${error.message}`]))
  return errors.sort((a, b) => ((texts.get(a) as string) < (texts.get(b) as string) ? -1 : 1))
}

/** What cannot be read as a structural schema at all; reported only where nothing else is wrong. */
export function unsupportedFields(schema: CrdSchema): string | undefined {
  if (schema.id) return "OpenAPIV3Schema 'id' is not supported"
  if (schema.$schema) return "OpenAPIV3Schema 'schema' is not supported"
  if (schema.$ref) return "OpenAPIV3Schema '$ref' is not supported"
  for (const field of ['patternProperties', 'dependencies', 'definitions'] as const) {
    if (Object.keys(schema[field] ?? {}).length > 0) return `OpenAPIV3Schema '${field}' is not supported`
  }
  if (schema.additionalItems !== undefined) return "OpenAPIV3Schema 'additionalItems' is not supported"
  if (schema['x-kubernetes-preserve-unknown-fields'] === false) {
    return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
  }
  if (Array.isArray(schema.items)) return "OpenAPIV3Schema 'items' must be a schema, but is an array"
  for (const inner of innerSchemas(schema)) {
    const found = unsupportedFields(inner)
    if (found) return found
  }
  return undefined
}

function* innerSchemas(schema: CrdSchema): Generator<CrdSchema> {
  if (schema.not) yield schema.not
  yield* [...(schema.allOf ?? []), ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]
  if (schema.items) yield schema.items
  yield* Object.values(schema.properties ?? {})
  if (typeof schema.additionalProperties === 'object') yield schema.additionalProperties
}

function checkInvariants(schema: CrdSchema, level: Level, path: string, errors: FieldError[]): void {
  const { type, items, additionalProperties } = schema
  const properties = schema.properties ?? {}
  if (type === 'array' && !items) errors.push(required(`${path}.items`, 'must be specified'))
  if (items) checkInvariants(items, 'item', `${path}.items`, errors)
  for (const [key, property] of Object.entries(properties)) {
    checkInvariants(property, 'field', `${path}.properties[${key}]`, errors)
  }
  if (additionalProperties !== undefined) {
    if (level === 'root') errors.push(forbidden(`${path}.additionalProperties`, 'must not be used at the root'))
    if (typeof additionalProperties === 'object') {
      checkInvariants(additionalProperties, 'field', `${path}.additionalProperties`, errors)
    }
  }
  checkExtensions(schema, path, errors)
  checkValidations(schema, path, errors, {
    anyOf: deepEqual(schema.anyOf, INT_OR_STRING),
    firstAllOf: deepEqual(schema.allOf?.[0]?.anyOf, INT_OR_STRING),
  })
  checkTypes(schema, level, path, errors)
}

function checkExtensions(schema: CrdSchema, path: string, errors: FieldError[]): void {
  if (!schema['x-kubernetes-int-or-string']) return
  for (const field of ['x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource'] as const) {
    if (!schema[field]) continue
    errors.push(invalidValue(`${path}.${field}`, true, 'must be false if x-kubernetes-int-or-string is true'))
  }
}

const MISSING_TYPE: Readonly<Record<Level, string>> = {
  root: 'must not be empty at the root',
  item: 'must not be empty for specified array items',
  field: 'must not be empty for specified object fields',
}

function checkTypes(schema: CrdSchema, level: Level, path: string, errors: FieldError[]): void {
  const { type } = schema
  const embedded = schema['x-kubernetes-embedded-resource'] === true
  const preserves = schema['x-kubernetes-preserve-unknown-fields'] === true
  const properties = schema.properties ?? {}
  if (embedded && type !== 'object') {
    const said = 'must be object if x-kubernetes-embedded-resource is true'
    errors.push(type ? invalidValue(`${path}.type`, type, said) : required(`${path}.type`, said))
  } else if (!type && !schema['x-kubernetes-int-or-string'] && !preserves) {
    errors.push(required(`${path}.type`, MISSING_TYPE[level]))
  }
  if (embedded && schema.additionalProperties !== undefined) {
    const said = 'must not be used if x-kubernetes-embedded-resource is set'
    errors.push(forbidden(`${path}.additionalProperties`, said))
  }
  if (level === 'root' && type && type !== 'object') {
    errors.push(invalidValue(`${path}.type`, type, 'must be object at the root'))
  }
  const isResource = level === 'root' || embedded
  for (const key of ['kind', 'apiVersion']) {
    const property = own(properties, key)
    if (isResource && property && property.type !== 'string') {
      errors.push(invalidValue(`${path}.properties[${key}].type`, property.type ?? '', 'must be string'))
    }
  }
  const metadata = own(properties, 'metadata')
  if (metadata) checkMetadata(metadata, isResource, level, `${path}.properties[metadata]`, errors)
  if (embedded && !preserves && Object.keys(properties).length === 0) {
    const said =
      'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields'
    errors.push(required(`${path}.properties`, said))
  }
}

function own(properties: Readonly<Record<string, Schema>>, key: string): CrdSchema | undefined {
  return Object.hasOwn(properties, key) ? properties[key] : undefined
}

function checkMetadata(schema: CrdSchema, isResource: boolean, level: Level, path: string, errors: FieldError[]): void {
  if (isResource && schema.type !== 'object') {
    errors.push(invalidValue(`${path}.type`, schema.type ?? '', 'must be object'))
  }
  if (level !== 'root') return
  const { type: _type, default: _default, properties = {}, ...rest } = schema
  const names = Object.keys(properties)
  const onlyNames = names.every((name) => name === 'name' || name === 'generateName')
  if (onlyNames && Object.values(rest).every((value) => value === undefined || value === false)) return
  const said = 'must not specify anything other than name and generateName, but metadata is implicitly specified'
  errors.push(forbidden(path, said))
}

/** The two ways to say int-or-string with types inside of the logic. */
interface Exceptions {
  anyOf: boolean
  firstAllOf: boolean
}

const NO_EXCEPTIONS: Exceptions = { anyOf: false, firstAllOf: false }

function checkValidations(schema: CrdSchema, path: string, errors: FieldError[], exceptions: Exceptions): void {
  if (!exceptions.anyOf) {
    schema.anyOf?.forEach((branch, index) => checkBranch(branch, `${path}.anyOf[${index}]`, errors, NO_EXCEPTIONS))
  }
  schema.allOf?.forEach((branch, index) => {
    const anyOf = exceptions.firstAllOf && index === 0
    checkBranch(branch, `${path}.allOf[${index}]`, errors, { anyOf, firstAllOf: false })
  })
  schema.oneOf?.forEach((branch, index) => checkBranch(branch, `${path}.oneOf[${index}]`, errors, NO_EXCEPTIONS))
  if (schema.not) checkBranch(schema.not, `${path}.not`, errors, NO_EXCEPTIONS)
  if (!schema.pattern) return
  try {
    compilePattern(schema.pattern)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    const said = `must be a valid regular expression, but isn't: ${error.message}`
    errors.push(invalidValue(`${path}.pattern`, schema.pattern, said))
  }
}

const FORBIDDEN_IN_BRANCHES: ReadonlyArray<readonly [field: keyof Schema, said: string]> = [
  ['type', 'must be empty to be structural'],
  ['additionalProperties', 'must be undefined to be structural'],
  ['default', 'must be undefined to be structural'],
  ['title', 'must be empty to be structural'],
  ['description', 'must be empty to be structural'],
  ['nullable', 'must be false to be structural'],
  ['x-kubernetes-preserve-unknown-fields', 'must be false to be structural'],
  ['x-kubernetes-embedded-resource', 'must be false to be structural'],
  ['x-kubernetes-int-or-string', 'must be false to be structural'],
  ['x-kubernetes-list-map-keys', 'must be empty to be structural'],
  ['x-kubernetes-list-type', 'must be undefined to be structural'],
  ['x-kubernetes-map-type', 'must be undefined to be structural'],
  ['x-kubernetes-validations', 'must be empty to be structural'],
]

function checkBranch(branch: CrdSchema, path: string, errors: FieldError[], exceptions: Exceptions): void {
  checkValidations(branch, path, errors, exceptions)
  if (branch.items) checkBranch(branch.items, `${path}.items`, errors, NO_EXCEPTIONS)
  const properties = branch.properties ?? {}
  for (const [key, property] of Object.entries(properties)) {
    checkBranch(property, `${path}.properties[${key}]`, errors, NO_EXCEPTIONS)
  }
  for (const [field, said] of FORBIDDEN_IN_BRANCHES) {
    const value = branch[field]
    const empty = value === undefined || value === false || value === '' || (Array.isArray(value) && value.length === 0)
    if (!empty && !(field === 'default' && value === null)) errors.push(forbidden(`${path}.${field}`, said))
  }
  if (own(properties, 'metadata')) {
    errors.push(forbidden(`${path}.properties[metadata]`, 'must not be specified in a nested context'))
  }
}

/** What the logic speaks of has to be declared in `schema`. */
function checkCompleteness(logic: CrdSchema, schema: CrdSchema, path: string, at: string, errors: FieldError[]): void {
  if (logic.not) checkDeclared(logic.not, schema, path, `${at}.not`, errors)
  for (const field of ['allOf', 'anyOf', 'oneOf'] as const) {
    logic[field]?.forEach((branch, index) => checkDeclared(branch, schema, path, `${at}.${field}[${index}]`, errors))
  }
}

function checkDeclared(
  branch: CrdSchema,
  schema: CrdSchema | undefined,
  path: string,
  at: string,
  errors: FieldError[],
): void {
  if (!schema) {
    errors.push(required(path, `because it is defined in ${at}`))
    return
  }
  checkCompleteness(branch, schema, path, at, errors)
  if (branch.items) checkDeclared(branch.items, schema.items, `${path}.items`, `${at}.items`, errors)
  for (const [key, property] of Object.entries(branch.properties ?? {})) {
    const declared = own(schema.properties ?? {}, key)
    checkDeclared(property, declared, `${path}.properties[${key}]`, `${at}.properties[${key}]`, errors)
  }
}
