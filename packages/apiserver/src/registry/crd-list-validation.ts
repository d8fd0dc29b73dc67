/** Validation of `x-kubernetes-list-type` and `x-kubernetes-map-type` in the schema of a CustomResourceDefinition. */
import type { Schema } from '../schema/schema.ts'
import type { FieldError } from '../status-error.ts'
import type { CrdSchema } from './crd.ts'
import { forbidden, goJson, invalidValue, notSupported, required } from './field-error.ts'

export function validateListAndMapTypes(schema: CrdSchema, path: string): FieldError[] {
  return [
    ...mapType(schema, path),
    ...listType(schema, path),
    ...listMapKeys(schema, path),
    ...keyProperties(schema, path),
  ]
}

function mapType(schema: CrdSchema, path: string): FieldError[] {
  const mapType = schema['x-kubernetes-map-type']
  if (mapType === undefined) return []
  const errors: FieldError[] = []
  if (schema.type !== 'object')
    errors.push(wrongType(schema, path, 'must be object if x-kubernetes-map-type is specified'))
  if (mapType !== 'atomic' && mapType !== 'granular') {
    errors.push(notSupported(`${path}.x-kubernetes-map-type`, mapType, ['atomic', 'granular']))
  }
  return errors
}

function listType(schema: CrdSchema, path: string): FieldError[] {
  const listType = schema['x-kubernetes-list-type']
  if (listType === undefined) return []
  const errors: FieldError[] = []
  if (schema.type !== 'array') {
    errors.push(wrongType(schema, path, 'must be array if x-kubernetes-list-type is specified'))
  } else if (listType === 'set' && schema.items) {
    const said = 'must be atomic as item of a list with x-kubernetes-list-type=set'
    const { items } = schema
    const inner = items['x-kubernetes-list-type']
    if (items.type === 'array' && inner !== undefined && inner !== 'atomic') {
      errors.push(invalidValue(`${path}.items.x-kubernetes-list-type`, inner, said))
    } else if (items.type === 'object' && items['x-kubernetes-map-type'] !== 'atomic') {
      errors.push(invalidValue(`${path}.items.x-kubernetes-map-type`, null, said))
    }
  }
  if (!['atomic', 'set', 'map'].includes(listType)) {
    errors.push(notSupported(`${path}.x-kubernetes-list-type`, listType, ['atomic', 'set', 'map']))
  }
  return errors
}

function wrongType(schema: CrdSchema, path: string, said: string): FieldError {
  return schema.type ? invalidValue(`${path}.type`, schema.type, said) : required(`${path}.type`, said)
}

function listMapKeys(schema: CrdSchema, path: string): FieldError[] {
  const listType = schema['x-kubernetes-list-type']
  const keys = schema['x-kubernetes-list-map-keys'] ?? []
  const errors: FieldError[] = []
  if (keys.length > 0 && listType !== 'map') {
    const said = 'must be map if x-kubernetes-list-map-keys is non-empty'
    const at = `${path}.x-kubernetes-list-type`
    errors.push(listType === undefined ? required(at, said) : invalidValue(at, listType, said))
  }
  if (listType !== 'map') return errors
  if (keys.length === 0) {
    errors.push(required(`${path}.x-kubernetes-list-map-keys`, 'must not be empty if x-kubernetes-list-type is map'))
  }
  const items = schema.items as Schema | Schema[] | undefined
  if (!items) errors.push(required(`${path}.items`, 'must have a schema if x-kubernetes-list-type is map'))
  else if (Array.isArray(items)) {
    const said = 'must only have a single schema if x-kubernetes-list-type is map'
    errors.push(invalidValue(`${path}.items`, goJson(items), said))
  } else if (items.type !== 'object') {
    const said = "must be object if parent array's x-kubernetes-list-type is map"
    errors.push(invalidValue(`${path}.items.type`, items.type ?? '', said))
  } else errors.push(...namedKeys(items, keys, path))
  return errors
}

function namedKeys(items: Schema, keys: readonly string[], path: string): FieldError[] {
  const errors: FieldError[] = []
  const at = `${path}.x-kubernetes-list-map-keys`
  const properties = items.properties ?? {}
  keys.forEach((key, index) => {
    const property = Object.hasOwn(properties, key) ? properties[key] : undefined
    if (!property) errors.push(invalidValue(at, keys, 'entries must all be names of item properties'))
    else if (property.type === 'array' || property.type === 'object') {
      const said = "must be a scalar type if parent array's x-kubernetes-list-type is map"
      errors.push(invalidValue(`${path}.items.properties[${key}].type`, items.type, said))
    }
    if (keys.indexOf(key) < index) errors.push(invalidValue(at, keys, 'must not contain duplicate entries'))
  })
  return errors
}

/** Items are told apart by their keys, so each has to have them. */
function keyProperties(schema: CrdSchema, path: string): FieldError[] {
  const listType = schema['x-kubernetes-list-type']
  const { items } = schema
  if ((listType !== 'set' && listType !== 'map') || !items || Array.isArray(items)) return []
  const errors: FieldError[] = []
  if (items.nullable) {
    const said = `cannot be nullable when x-kubernetes-list-type is ${listType}`
    errors.push(forbidden(`${path}.items.nullable`, said))
  }
  if (listType === 'set') return errors
  for (const key of schema['x-kubernetes-list-map-keys'] ?? []) {
    const properties = items.properties ?? {}
    const property = Object.hasOwn(properties, key) ? properties[key] : undefined
    if (!property) continue
    const at = `${path}.items.properties[${key}]`
    const said = 'this property is in x-kubernetes-list-map-keys, so it'
    if (!items.required?.includes(key) && (property.default === undefined || property.default === null)) {
      errors.push(required(`${at}.default`, `${said} must have a default or be a required property`))
    }
    if (property.nullable) errors.push(forbidden(`${at}.nullable`, `${said} cannot be nullable`))
  }
  return errors
}
