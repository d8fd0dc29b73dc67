/** What structured-merge-diff finds wrong with an applied object before it merges it: types, unknown fields, list keys. */
import type { Schema } from '../schema/schema.ts'
import { formatPath } from './field-set.ts'
import { goSyntax, goType, printed } from './go-printing.ts'
import { isObject, type JsonObject } from './json-value.ts'
import { declared, keyElement, opened, RAW_EXTENSION } from './typed-value.ts'

/** As many as a refusal names: a hostile object has a mistake in each of its fields. */
const MAX_ERRORS = 10

/**
 * What is wrong with `value`, each error with its path: `.spec.bogus: field not declared in schema`. Ranges, patterns and
 * rules are validation's.
 */
export function typeErrors(value: unknown, schema: Schema): string[] {
  const errors: string[] = []
  check(value, { schema, path: [], preserve: false, errors })
  return errors
}

/** What Go reads from text or from a number, as it likes. */
const SCALAR = /\.(?:Quantity|Time|MicroTime)$/

interface Visit {
  /** Undefined where nothing is known, so that everything is allowed. */
  schema: Schema | undefined
  path: readonly string[]
  /** Inside of a part that keeps unknown fields. */
  preserve: boolean
  errors: string[]
}

function check(value: unknown, { schema, path, preserve, errors }: Visit): void {
  if (schema === undefined || schema.$ref === RAW_EXTENSION || value === null || errors.length >= MAX_ERRORS) return
  const known = opened(schema)
  const fail = (what: string): void => {
    errors.push(path.length === 0 ? what : `${formatPath(path)}: ${what}`)
  }
  if (SCALAR.test(schema.$ref ?? '')) {
    if (typeof value === 'object') fail(`expected any scalar, got &{${printed(value)}}`)
    return
  }
  // Anything, and the ports of built-in kinds that are a number or a string.
  if (known.type === undefined || known['x-kubernetes-int-or-string'] || known.format === 'int-or-string') return
  const inside = { path, preserve: preserve || known['x-kubernetes-preserve-unknown-fields'] === true, errors }
  if (known.type === 'object') {
    if (isObject(value)) checkFields(value, known, inside)
    else fail(`expected map, got &{${printed(value)}}`)
  } else if (known.type === 'array') {
    if (Array.isArray(value)) checkItems(value, known, inside)
    else fail(`expected list, got &{${printed(value)}}`)
  } else if (known.type === 'string') {
    if (typeof value !== 'string') fail(`expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`)
  } else if (known.type === 'boolean') {
    if (typeof value !== 'boolean') fail(`expected boolean, got &{${printed(value)}}`)
  } else if (typeof value !== 'number') fail(`expected numeric (int or float), got ${goType(value)}`)
}

function checkFields(value: JsonObject, schema: Schema, visit: Omit<Visit, 'schema'>): void {
  const { properties = {}, additionalProperties } = schema
  const free =
    visit.preserve ||
    additionalProperties === true ||
    (additionalProperties === undefined && Object.keys(properties).length === 0)
  for (const [key, field] of Object.entries(value)) {
    const path = [...visit.path, `f:${key}`]
    if (declared(schema, key)) {
      // A definition of its own says for itself what it keeps.
      const below = properties[key]
      const named = below?.$ref !== undefined || (key === 'metadata' && schema['x-kubernetes-embedded-resource'])
      check(field, { ...visit, path, schema: below, preserve: visit.preserve && !named })
    } else if (typeof additionalProperties === 'object') check(field, { ...visit, path, schema: additionalProperties })
    else if (!free) {
      visit.errors.push(`${formatPath(path)}: field not declared in schema`)
      return
    }
  }
}

function checkItems(value: readonly unknown[], schema: Schema, visit: Omit<Visit, 'schema'>): void {
  const listType = schema['x-kubernetes-list-type']
  const at = visit.path.length === 0 ? '' : `${formatPath(visit.path)}: `
  const seen = new Set<string>()
  for (const [index, item] of value.entries()) {
    if (visit.errors.length >= MAX_ERRORS) return
    let element = `i:${index}`
    if (listType === 'map' || listType === 'set') {
      const key = listType === 'set' ? `v:${JSON.stringify(item)}` : keyElement(item, schema)
      const wrong = listType === 'set' ? wrongInSet(item) : undefined
      if (wrong !== undefined) {
        visit.errors.push(`${at}element ${index}: ${wrong}`)
        return
      }
      if (key === undefined) {
        visit.errors.push(`${at}element ${index}: ${withoutKeys(item, schema)}`)
        return
      }
      if (seen.has(key)) visit.errors.push(`${at}duplicate entries for key ${formatPath([key])}`)
      seen.add(key)
      element = key
    }
    check(item, { ...visit, path: [...visit.path, element], schema: schema.items })
  }
}

function wrongInSet(item: unknown): string | undefined {
  if (item === null) return "associative list without keys has an element that's an explicit null"
  if (Array.isArray(item)) return 'not supported: associative list with lists as elements'
  return isObject(item) ? "associative list without keys has an element that's a map type" : undefined
}

function withoutKeys(item: unknown, schema: Schema): string {
  if (item === null) return 'associative list with keys may not have a null element'
  if (!isObject(item)) return 'associative list with keys may not have non-map elements'
  const keys = (schema['x-kubernetes-list-map-keys'] ?? []).map((key) => JSON.stringify(key)).join(' ')
  return `associative list with keys has an element that omits all key fields [${keys}] (and doesn't have default values for any key fields)`
}
