/** Defaults of a CustomResourceDefinition's schema have to be values that the schema allows. */
import { deepEqual, isObject } from '../patch/json-value.ts'
import { ABSENT } from '../schema/absent.ts'
import { validateEmbeddedResources } from '../schema/embedded-resource.ts'
import { goValue } from '../schema/go-value.ts'
import { pruneValue } from '../schema/prune.ts'
import { type Budget, ruleBudget, validateRules } from '../schema/rules.ts'
import type { Schema } from '../schema/schema.ts'
import { validateDefault } from '../schema/validate-schema.ts'
import type { FieldError } from '../status-error.ts'

/** Defaults below `additionalProperties` are not looked at, as in Kubernetes. */
export function validateDefaults(schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = []
  visit(schema, path, { insideMetadata: false, isResource: true, budget: ruleBudget() }, errors)
  return errors
}

interface Place {
  insideMetadata: boolean
  isResource: boolean
  /** Rules that check defaults share it. */
  budget: Budget
}

function visit(schema: Schema, path: string, place: Place, errors: FieldError[]): void {
  const isEmbedded = schema['x-kubernetes-embedded-resource'] === true
  const insideMetadata = place.insideMetadata && !isEmbedded
  if (schema.default !== undefined && schema.default !== null) {
    const isResource = place.isResource || isEmbedded
    errors.push(...checkDefault(schema, `${path}.default`, { ...place, insideMetadata, isResource }))
  }
  if (schema.items) visit(schema.items, `${path}.items`, { ...place, insideMetadata, isResource: false }, errors)
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const isMetadata = (place.isResource || isEmbedded) && ['metadata', 'apiVersion', 'kind'].includes(key)
    const inner = { ...place, insideMetadata: insideMetadata || isMetadata, isResource: false }
    visit(property, `${path}.properties[${key}]`, inner, errors)
  }
}

function checkDefault(schema: Schema, path: string, { insideMetadata, isResource, budget }: Place): FieldError[] {
  const value = schema.default
  const errors: FieldError[] = []
  if (!insideMetadata) {
    const pruned = structuredClone(value)
    pruneValue(schema, pruned)
    if (!deepEqual(pruned, value)) {
      const message = `Invalid value: ${goValue(value)}: must not have unknown fields`
      errors.push({ type: 'FieldValueInvalid', field: path, message })
    }
    const wrong = isObject(value) || Array.isArray(value) ? validateEmbeddedResources(schema, value, path) : []
    if (wrong.length > 0) return [...errors, ...wrong]
  }
  const wrong = validateDefault(schema, path)
  if (wrong.length > 0) return [...errors, ...wrong]
  for (const current of [value, ABSENT]) {
    const failed = validateRules(schema, value, { path, current, others: [], isResource, budget })
    if (failed.length > 0) return [...errors, ...failed]
  }
  return errors
}
