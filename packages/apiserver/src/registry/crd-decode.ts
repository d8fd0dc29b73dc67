/**
 * Decodes CustomResourceDefinitions. `items`, `additionalProperties`, `additionalItems` and `dependencies` of a schema take
 * several forms, of which Kubernetes' published description says nothing: the schemas in them are decoded here.
 */
import { isObject, type JsonObject } from '../patch/json-value.ts'
import { define } from '../patch/merge-patch.ts'
import { type DecodedNative, decodeNative } from '../schema/native.ts'

const PREFIX = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1'

/** For `Resource.decode` of the kind. Like Go it says nothing of unknown fields below `items`: it drops them. */
export function decodeCrd(value: Readonly<JsonObject>): DecodedNative {
  const decoded = decodeNative(`${PREFIX}.CustomResourceDefinition`, value)
  if (decoded.error !== undefined) return decoded
  const spec = decoded.object['spec']
  const versions = isObject(spec) && Array.isArray(spec['versions']) ? spec['versions'] : []
  for (const version of versions) {
    const schema = isObject(version) && isObject(version['schema']) ? version['schema']['openAPIV3Schema'] : undefined
    const error = isObject(schema) ? decodeInside(schema) : undefined
    if (error !== undefined) return { ...decoded, error }
  }
  return decoded
}

/** Decodes what is inside of a decoded schema, in place. Returns what Go's decoder would complain about. */
function decodeInside(schema: JsonObject): string | undefined {
  for (const field of ['items', 'additionalProperties', 'additionalItems']) {
    const error = decodeForms(schema, field)
    if (error !== undefined) return error
  }
  const error = decodeDependencies(schema)
  if (error !== undefined) return error
  for (const inner of schemasOf(schema)) {
    const error = decodeInside(inner)
    if (error !== undefined) return error
  }
  return undefined
}

function decodeForms(schema: JsonObject, field: string): string | undefined {
  const value = schema[field]
  if (value === undefined || (field !== 'items' && typeof value === 'boolean')) return undefined
  if (value === null) {
    delete schema[field]
    return undefined
  }
  if (field === 'items' && Array.isArray(value)) {
    const decoded = value.map(decodeSchema)
    const failed = decoded.find((one) => typeof one === 'string')
    if (failed !== undefined) return failed as string
    schema[field] = decoded
    return undefined
  }
  const decoded = decodeSchema(value)
  if (typeof decoded !== 'string') {
    schema[field] = decoded
    return undefined
  }
  return field === 'items' ? decoded : 'boolean or JSON schema expected'
}

/** Each is a schema or the names of fields. */
function decodeDependencies({ dependencies }: JsonObject): string | undefined {
  if (!isObject(dependencies)) return undefined
  for (const [name, value] of Object.entries(dependencies)) {
    if (!isObject(value)) continue
    const decoded = decodeSchema(value)
    if (typeof decoded === 'string') return decoded
    define(dependencies, name, decoded)
  }
  return undefined
}

function decodeSchema(value: unknown): JsonObject | string {
  if (!isObject(value)) {
    const type = typeof value === 'boolean' ? 'bool' : Array.isArray(value) ? 'array' : typeof value
    return `json: cannot unmarshal ${type} into Go value of type v1.JSONSchemaProps`
  }
  const { object, error } = decodeNative(`${PREFIX}.JSONSchemaProps`, value)
  return error ?? object
}

function* schemasOf(schema: JsonObject): Generator<JsonObject> {
  for (const field of ['items', 'additionalProperties', 'additionalItems', 'not']) {
    const value = schema[field]
    if (Array.isArray(value)) yield* value.filter(isObject)
    else if (isObject(value)) yield value
  }
  for (const field of ['allOf', 'anyOf', 'oneOf']) {
    const value = schema[field]
    if (Array.isArray(value)) yield* value.filter(isObject)
  }
  for (const field of ['properties', 'patternProperties', 'definitions', 'dependencies']) {
    const value = schema[field]
    if (isObject(value)) yield* Object.values(value).filter(isObject)
  }
}
