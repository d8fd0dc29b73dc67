/** PATCH: JSON Patch, merge patch, strategic merge patch and server-side apply. */
import type { KubeObject } from '@caisson/api'
import { printed } from '../patch/go-printing.ts'
import { applyJsonPatch, JsonPatchError, type JsonPatchOperation } from '../patch/json-patch.ts'
import { applyServerSide, trackUpdate } from '../patch/managed-fields.ts'
import { applyMergePatch } from '../patch/merge-patch.ts'
import { applyStrategicMergePatch } from '../patch/strategic-merge-patch.ts'
import { groupVersion } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { invalid, StatusError } from '../status-error.ts'
import { deepCopy } from '../storage/freeze.ts'
import type { Answer, Body, Call } from './call.ts'
import { repeatedLines } from './decode.ts'
import { cleanUp, defaulted } from './decode-object.ts'
import type { Environment } from './environment.ts'
import { badRequest, notFound, unsupportedMediaType } from './errors.ts'
import { type WriteOptions, writeOptions } from './options.ts'
import { updateIn } from './update-object.ts'
import { objectRules } from './update-rules.ts'
import { viewed } from './versions.ts'
import { writeContext } from './write-context.ts'

export const PATCH_TYPES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

const CUSTOM_TYPES: readonly string[] = [PATCH_TYPES.json, PATCH_TYPES.merge, PATCH_TYPES.apply]
const BUILTIN_TYPES: readonly string[] = [PATCH_TYPES.json, PATCH_TYPES.merge, PATCH_TYPES.strategic, PATCH_TYPES.apply]
const MAX_OPERATIONS = 10_000

export interface PatchRequest {
  resource: Resource
  environment: Environment
  options: WriteOptions
  call: Call
  body: Body
}

export async function patch(
  call: Call,
  resource: Resource,
  environment: Environment,
  rules = objectRules(resource),
): Promise<Answer> {
  const accepted = resource.custom ? CUSTOM_TYPES : BUILTIN_TYPES
  if (!accepted.includes(call.contentType)) throw resource.custom ? unsupportedMediaType(accepted) : notConsumed()
  const isApply = call.contentType === PATCH_TYPES.apply
  const body = (await call.readBody()) ?? { value: undefined, text: '', duplicates: [] }
  const isStrategic = call.contentType === PATCH_TYPES.strategic
  const decoding = isApply ? 'error decoding YAML: ' : isStrategic ? '' : 'error decoding patch: '
  if (body.error !== undefined) throw badRequest(`${decoding}${body.error}`)
  if (body.value === undefined && !isApply) throw badRequest(`${decoding}unexpected end of JSON input`)
  const options = writeOptions('PatchOptions', call.query, call.userAgent, isApply)
  const request: PatchRequest = { resource, environment, options, call, body }
  const next = isApply ? applied(request) : patched(request)
  const { object, created } = await environment.store.write((transaction) =>
    updateIn(transaction, {
      call,
      resource,
      environment,
      options,
      rules,
      allowCreate: isApply,
      ...(isApply && resource.custom && { beforeStorage: (object) => void cleanUp(resource, object) }),
      next,
    }),
  )
  return { status: created ? 201 : 200, body: await viewed(resource, object), resource }
}

/** The next state of an object under JSON, merge and strategic merge patches: they never create. */
function patched(request: PatchRequest): (current: KubeObject | undefined) => KubeObject {
  const { resource, environment, options, call } = request
  const apply = patchedObject(request)
  return (current) => {
    if (!current) throw notFound(resource, call.info.name)
    const object = apply(current)
    trackUpdate(current, object, writeContext(resource, call.info.subresource, options, environment))
    return object
  }
}

/**
 * The patched object: decoded, defaulted, private to the caller but for its frozen parts, which are shared with `current`;
 * its managedFields are still those of `current`.
 */
export function patchedObject(request: Omit<PatchRequest, 'environment'>): (current: KubeObject) => KubeObject {
  const { resource, call, body } = request
  const apply = patchFunction(call.contentType, body, resource)
  // A merge patch leaves what it does not touch in its place, where it has been pruned and defaulted by this schema.
  const isSettled = resource.custom && call.contentType === PATCH_TYPES.merge
  return (current) => {
    const result = apply(current)
    if (typeof result !== 'object' || result === null || Array.isArray(result))
      throw patchInvalid(result, 'the patched document is not an object')
    const value = orderFields(isSettled ? withOwnMetadata(result as KubeObject) : (deepCopy(result) as KubeObject))
    checkIdentity(value, resource)
    const { object, problems } = decodePatched(value, request)
    reportPatchFields(object, [...body.duplicates, ...problems], request)
    return object
  }
}

function applied({
  resource,
  environment,
  options,
  call,
  body,
}: PatchRequest): (current: KubeObject | undefined) => KubeObject {
  const value = body.value
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest(`error decoding YAML: the body must be an object of kind ${resource.kind}`)
  const config = value as KubeObject
  if (config.apiVersion !== groupVersion(resource) || config.kind !== resource.kind) {
    const { apiVersion = '', kind = '' } = config as Partial<KubeObject>
    throw badRequest(`invalid object type: ${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`)
  }
  if (body.duplicates.length > 0 && options.fieldValidation !== 'Ignore') {
    const said = `error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  ${repeatedLines(body).join('\n  ')}`
    if (options.fieldValidation === 'Strict') throw badRequest(said)
    call.warnings.push(said)
  }
  const given = orderFields({ ...config, metadata: (config.metadata ?? {}) as KubeObject['metadata'] })
  return (current) => {
    const context = { ...writeContext(resource, call.info.subresource, options, environment), force: options.force }
    const result = applyServerSide(current, deepCopy(given), context)
    const object = orderFields(deepCopy(result))
    return resource.custom ? defaulted(resource, object) : cleanUp(resource, object).object
  }
}

function patchFunction(type: string, body: Body, resource: Resource): (current: KubeObject) => unknown {
  if (type === PATCH_TYPES.json) {
    const operations = decodeOperations(body)
    return (current) => {
      try {
        return applyJsonPatch(current, operations)
      } catch (error) {
        if (!(error instanceof JsonPatchError)) throw error
        // Clients know this sentence, which is all that kube-apiserver says.
        const field = `patch[${error.operation}]`
        throw new StatusError('Invalid', 'the server rejected our request due to an error in our request', {
          details: { causes: [{ reason: 'FieldValueInvalid', message: error.message, field }] },
          cause: error,
        })
      }
    }
  }
  const { value } = body
  // A null that replaces everything is none; one that is to be merged with named elements changes nothing.
  if (value === null && type === PATCH_TYPES.merge) throw badRequest('Invalid JSON Patch')
  if (value === null) return (current) => current
  if (typeof value !== 'object' || Array.isArray(value)) {
    const decoding = type === PATCH_TYPES.strategic ? '' : 'error decoding patch: '
    throw badRequest(
      `${decoding}json: cannot unmarshal ${jsonType(value)} into Go value of type map[string]interface {}`,
    )
  }
  const fields = value as Record<string, unknown>
  if (type === PATCH_TYPES.merge) return (current) => applyMergePatch(current, fields)
  return (current) => applyStrategicMergePatch(current, fields, resource.schema)
}

function decodeOperations({ value }: Body): JsonPatchOperation[] {
  if (value === null) return []
  if (!Array.isArray(value))
    throw badRequest(
      `error decoding patch: json: cannot unmarshal ${jsonType(value)} into Go value of type []handlers.jsonPatchOp`,
    )
  if (value.length > MAX_OPERATIONS)
    throw new StatusError(
      'RequestEntityTooLarge',
      `Request entity too large: The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${value.length}`,
    )
  return value.map((operation: unknown) => {
    const given = (operation ?? {}) as Partial<Record<keyof JsonPatchOperation, unknown>>
    const wrong = (found: unknown, into: string): StatusError =>
      badRequest(`error decoding patch: json: cannot unmarshal ${jsonType(found)} into Go ${into}`)
    if (typeof given !== 'object' || Array.isArray(given)) throw wrong(given, 'value of type handlers.jsonPatchOp')
    for (const field of ['op', 'path', 'from'] as const) {
      const found = given[field] ?? undefined
      if (found !== undefined && typeof found !== 'string')
        throw wrong(found, `struct field jsonPatchOp.${field} of type string`)
    }
    return given as JsonPatchOperation
  })
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

function checkIdentity(value: KubeObject, resource: Resource): void {
  if (value.apiVersion !== groupVersion(resource) || value.kind !== resource.kind)
    throw badRequest(
      `the API version or kind in the patched object (${value.apiVersion}, ${value.kind}) does not match the expected one (${groupVersion(resource)}, ${resource.kind})`,
    )
}

function decodePatched(value: KubeObject, { resource, call, body }: Omit<PatchRequest, 'environment'>) {
  try {
    return cleanUp(resource, value)
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'BadRequest') throw error
    // In what a patch made the decoder's own words stand alone.
    const said = error.message.replace(/^\S+ in version "[^"]*" cannot be handled as a \S+: /, '')
    const isStrategic = call.contentType === PATCH_TYPES.strategic
    throw isStrategic ? patchInvalid(printed(body.value), conversionError(said)) : patchInvalid(value, said)
  }
}

/** A strategic merge patch is not decoded from JSON but converted value by value, which has words of its own. */
function conversionError(said: string): string {
  const match = /json: cannot unmarshal (\w+)(?: [^ ]+)? into Go struct field \S+ of type (.+)$/.exec(said)
  if (!match) return said
  const [, found = '', wanted = ''] = match
  const type = GO_TYPES[found] ?? found
  if (wanted.startsWith('[]')) return `cannot restore slice from ${type}`
  const kind = type.replace(/\[.*/, '') || 'slice'
  if (wanted.startsWith('map[') || wanted === 'v1.ResourceList') return `cannot restore map from ${kind}`
  if (wanted.includes('.')) return `cannot restore struct from: ${kind}`
  return `cannot convert ${type} to ${wanted}`
}

/** Of decoded JSON, by the names that decoding errors give to the same. */
const GO_TYPES: Readonly<Record<string, string>> = {
  number: 'int64',
  object: 'map[string]interface {}',
  array: '[]interface {}',
}

function reportPatchFields(
  object: KubeObject,
  problems: readonly string[],
  { options, call }: Omit<PatchRequest, 'environment'>,
): void {
  if (problems.length === 0 || options.fieldValidation === 'Ignore') return
  if (options.fieldValidation === 'Warn') call.warnings.push(...problems)
  else throw patchInvalid(object, `strict decoding error: ${problems.join(', ')}`)
}

/** What go-restful answers before a handler of a built-in kind sees the request. */
function notConsumed(): StatusError {
  return new StatusError('UnsupportedMediaType', '415: Unsupported Media Type', { details: {} })
}

function patchInvalid(value: unknown, why: string): StatusError {
  return invalid({ group: '', kind: '' }, '', [
    {
      type: 'FieldValueInvalid',
      field: 'patch',
      message: `Invalid value: ${JSON.stringify(typeof value === 'string' ? value : JSON.stringify(value))}: ${why}`,
    },
  ])
}

/** Metadata is changed in place on the way to the store; its parts are replaced, never changed. */
function withOwnMetadata(object: KubeObject): KubeObject {
  const { metadata } = object
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) return object
  return { ...object, metadata: { ...metadata } }
}

function orderFields({ kind, apiVersion, metadata, ...rest }: KubeObject): KubeObject {
  return { kind, apiVersion, metadata, ...rest }
}
