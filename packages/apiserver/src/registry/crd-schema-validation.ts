/** Validation of the schema of a CustomResourceDefinition: what Kubernetes allows of OpenAPI, and of its own extensions. */
import { goValue } from '../schema/go-value.ts'
import type { FieldError } from '../status-error.ts'
import type { CrdSchema } from './crd.ts'
import { validateDefaults } from './crd-default-validation.ts'
import { validateListAndMapTypes } from './crd-list-validation.ts'
import {
  type RuleScope,
  rootRuleScope,
  totalCostErrors,
  validateRuleTexts,
  validateSchemaRules,
} from './crd-rule-validation.ts'
import { unsupportedFields, validateStructural } from './crd-structural.ts'
import { forbidden, invalidValue, notSupported } from './field-error.ts'

const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string']

/** At the root, beside a status subresource: whatever else says something of status would be lost. */
const ROOT_FIELDS =
  '[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]'
const NOT_AT_ROOT: ReadonlyArray<keyof CrdSchema> = [
  'id',
  '$schema',
  '$ref',
  'nullable',
  'default',
  'enum',
  'maxProperties',
  'minProperties',
  'allOf',
  'oneOf',
  'anyOf',
  'not',
  'additionalProperties',
  'patternProperties',
  'dependencies',
  'additionalItems',
  'definitions',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-list-type',
  'x-kubernetes-map-type',
]

/** @param path of what holds `openAPIV3Schema` */
export function validateCrdSchema(schema: CrdSchema | undefined, path: string, hasStatus: boolean): FieldError[] {
  if (!schema) return []
  const at = `${path}.openAPIV3Schema`
  const errors: FieldError[] = hasStatus ? validateRoot(schema, path) : []
  if (schema.nullable) errors.push(forbidden(`${at}.nullable`, 'nullable cannot be true at the root'))
  const unsupported = unsupportedFields(schema)
  let scope: RuleScope | undefined
  if (unsupported === undefined) {
    const structural = validateStructural(schema, at)
    const wrong = structural.length > 0 ? structural : validateDefaults(schema, at)
    if (wrong.length > 0) errors.push(...wrong)
    else scope = rootRuleScope(schema)
  }
  const found: Found = { schemaErrors: [], ruleErrors: [] }
  checkNode(schema, at, ROOT_CONTEXT, scope, found)
  errors.push(...found.schemaErrors, ...found.ruleErrors)
  if (errors.length === 0 && unsupported !== undefined) errors.push(invalidValue(at, '', unsupported))
  if (scope) errors.push(...totalCostErrors(scope, at))
  return errors
}

function validateRoot(schema: CrdSchema, path: string): FieldError[] {
  const after = ' of the schema if the status subresource is enabled'
  if (schema.type !== 'object') {
    const said = `only "object" is allowed as the type at the root${after}`
    return [invalidValue(`${path}.openAPIV3Schema.type`, schema.type ?? '', said)]
  }
  if (!NOT_AT_ROOT.some((field) => isSet(schema[field]))) return []
  const said = `only ${ROOT_FIELDS} fields are allowed at the root${after}`
  const message = `Invalid value: ${goValue({ ...schema, properties: undefined })}: ${said}`
  return [{ type: 'FieldValueInvalid', field: `${path}.openAPIV3Schema`, message }]
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== ''
}

interface Found {
  schemaErrors: FieldError[]
  ruleErrors: FieldError[]
}

interface Context {
  isRoot: boolean
  /** Why no default may be set here. */
  noDefaults: string | undefined
  insideMetadata: boolean
  /** The innermost part around this one whose old and new values cannot be told to belong together. */
  uncorrelatable: string | undefined
}

const ROOT_CONTEXT: Context = { isRoot: true, noDefaults: undefined, insideMetadata: false, uncorrelatable: undefined }
const METADATA = new Set(['metadata', 'kind', 'apiVersion'])

/** Rules are compiled only where nothing is wrong with the schema at or below them. */
function checkNode(schema: CrdSchema, path: string, context: Context, scope: RuleScope | undefined, all: Found): void {
  const found: Found = { schemaErrors: checkStandard(schema, path, context), ruleErrors: [] }
  const inner = { ...context, isRoot: false }
  checkProperties(schema, path, context, scope, found)
  if (schema.not) checkNode(schema.not, `${path}.not`, inner, undefined, found)
  for (const field of ['allOf', 'oneOf', 'anyOf'] as const) {
    schema[field]?.forEach((branch, index) => checkNode(branch, `${path}.${field}[${index}]`, inner, undefined, found))
  }
  for (const [key, definition] of Object.entries(schema.definitions ?? {})) {
    checkNode(definition, `${path}.definitions[${key}]`, inner, undefined, found)
  }
  if (schema.items && !Array.isArray(schema.items)) {
    const correlated = schema['x-kubernetes-list-type'] === 'map'
    const items = { ...inner, uncorrelatable: inner.uncorrelatable ?? (correlated ? undefined : path) }
    checkNode(schema.items, `${path}.items`, items, scope?.items(schema.items), found)
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] === false) {
    const at = `${path}.x-kubernetes-preserve-unknown-fields`
    found.schemaErrors.push(invalidValue(at, false, 'must be true or undefined'))
  }
  found.schemaErrors.push(...validateListAndMapTypes(schema, path))
  if (schema['x-kubernetes-validations']?.length) {
    found.schemaErrors.push(...validateRuleTexts(schema, path))
    if (found.schemaErrors.length === 0 && scope) {
      found.ruleErrors.push(...validateSchemaRules(schema, path, scope, context.uncorrelatable))
    }
  }
  all.schemaErrors.push(...found.schemaErrors)
  all.ruleErrors.push(...found.ruleErrors)
}

function checkProperties(
  schema: CrdSchema,
  path: string,
  context: Context,
  scope: RuleScope | undefined,
  found: Found,
): void {
  const inner = { ...context, isRoot: false }
  const properties = Object.entries(schema.properties ?? {})
  const { additionalProperties } = schema
  if (additionalProperties !== undefined) {
    if (properties.length > 0 && additionalProperties !== true) {
      const said = 'additionalProperties and properties are mutual exclusive'
      found.schemaErrors.push(forbidden(`${path}.additionalProperties`, said))
    }
    if (typeof additionalProperties === 'object') {
      const within = context.insideMetadata
        ? { ...inner, noDefaults: 'inside additionalProperties applying to object metadata' }
        : inner
      const at = `${path}.additionalProperties`
      checkNode(additionalProperties, at, within, scope?.additionalProperties(additionalProperties), found)
    }
  }
  for (const [key, property] of properties) {
    const isMetadata = (context.isRoot || schema['x-kubernetes-embedded-resource'] === true) && METADATA.has(key)
    const within: Context = {
      isRoot: false,
      noDefaults: isMetadata && context.isRoot ? `in top-level ${key}` : inner.noDefaults,
      insideMetadata: inner.insideMetadata || isMetadata,
      uncorrelatable: inner.uncorrelatable,
    }
    checkNode(property, `${path}.properties[${key}]`, within, scope?.property(property, key), found)
  }
}

const UNSUPPORTED: ReadonlyArray<keyof CrdSchema> = [
  'id',
  'additionalItems',
  'patternProperties',
  'definitions',
  'dependencies',
  '$ref',
]

/** What Kubernetes leaves out of OpenAPI. */
function checkStandard(schema: CrdSchema, path: string, context: Context): FieldError[] {
  const errors: FieldError[] = []
  const type = schema.type as string | undefined
  if (type && !TYPES.includes(type)) errors.push(notSupported(`${path}.type`, type, TYPES))
  if (schema.default !== undefined && schema.default !== null && context.noDefaults !== undefined) {
    errors.push(forbidden(`${path}.default`, `must not be set ${context.noDefaults}`))
  }
  for (const field of UNSUPPORTED) {
    if (isSet(schema[field])) errors.push(forbidden(`${path}.${field}`, `${field} is not supported`))
  }
  if (type === 'null') {
    errors.push(forbidden(`${path}.type`, 'type cannot be set to null, use nullable as an alternative'))
  }
  if (Array.isArray(schema.items) && schema.items.length > 0) {
    errors.push(forbidden(`${path}.items`, 'items must be a schema object and not an array'))
  }
  if (context.insideMetadata && schema['x-kubernetes-embedded-resource']) {
    errors.push(forbidden(`${path}.x-kubernetes-embedded-resource`, 'must not be used inside of resource meta'))
  }
  if (schema.uniqueItems) {
    const said = 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'
    errors.push(forbidden(`${path}.uniqueItems`, said))
  }
  return errors
}
