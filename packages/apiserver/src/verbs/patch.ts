/** PATCH: JSON Patch, merge patch, strategic merge patch and server-side apply. */
import type { KubeObject } from '@caisson/api'
import { goType, printed } from '../patch/go-printing.ts'
import { applyJsonPatch, JsonPatchError, type JsonPatchOperation } from '../patch/json-patch.ts'
import { isObject } from '../patch/json-value.ts'
import { appliedName, appliedType, applyServerSide, trackUpdate } from '../patch/managed-fields.ts'
import { applyMergePatch } from '../patch/merge-patch.ts'
import { applyStrategicMergePatch } from '../patch/strategic-merge-patch.ts'
import { groupVersion } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { invalid, StatusError } from '../status-error.ts'
import { deepCopy } from '../storage/freeze.ts'
import type { Answer, Body, Call } from './call.ts'
import { hasSurrogates } from './decode.ts'
import { cleanUp, defaulted, otherKind, refuseOtherKind } from './decode-object.ts'
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

type PatchedRequest = Omit<PatchRequest, 'environment'> & { environment: Pick<Environment, 'registry'> }

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
  if (isApply && body.error !== undefined) throw badRequest(`error decoding YAML: ${body.error}`)
  if (isApply && hasSurrogates(body.text))
    throw badRequest(
      'error decoding YAML: error converting YAML to JSON: yaml: found invalid Unicode character escape code',
    )
  const options = writeOptions('PatchOptions', call.query, call.userAgent, isApply)
  const request: PatchRequest = { resource, environment, options, call, body }
  const next = isApply ? applied(request) : patched(request)
  const { object, created } = await environment.store.write(
    (transaction) =>
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
    call.share,
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
export function patchedObject(request: PatchedRequest): (current: KubeObject) => KubeObject {
  const { resource, call, body } = request
  let read: ReturnType<typeof patchFunction> | undefined
  const isStrategic = call.contentType === PATCH_TYPES.strategic
  // A merge patch leaves what it does not touch in its place, where it has been pruned and defaulted by this schema.
  const isSettled = resource.custom && call.contentType === PATCH_TYPES.merge
  return (current) => {
    // Not before: of an object that is not there that is all that is said, whatever the patch is.
    read ??= patchFunction(call.contentType, body, resource)
    const apply = read
    const result = apply(current)
    if (typeof result !== 'object' || result === null || Array.isArray(result))
      throw patchInvalid(result, 'the patched document is not an object')
    // What is refused is shown as the patch made it; decoding changes it.
    const shown = (): unknown => (isStrategic ? printed(body.value) : apply(current))
    const value = orderFields(
      isSettled ? withOwnMetadata(result as KubeObject) : privateCopy(result as KubeObject, current),
    )
    identify(value, request, shown)
    const { object, problems } = decodePatched(value, request, shown)
    reportPatchFields([...body.duplicates, ...problems], request, shown)
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
    const text = (value: unknown): string => (typeof value === 'string' ? value : '')
    const isVersion = text(config.apiVersion).split('/').length <= 2
    const type = isVersion
      ? { apiVersion: text(config.apiVersion), kind: text(config.kind) }
      : { apiVersion: '', kind: '' }
    throw badRequest(`invalid object type: ${appliedType(type)}`)
  }
  if (body.duplicates.length > 0 && options.fieldValidation !== 'Ignore') {
    const said = `error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  ${(body.repeatedLines ?? body.duplicates).join('\n  ')}`
    if (options.fieldValidation === 'Strict') throw badRequest(said)
    call.warnings.push(said)
  }
  const given = orderFields({ ...config, metadata: (config.metadata ?? {}) as KubeObject['metadata'] })
  return (current) => {
    const context = { ...writeContext(resource, call.info.subresource, options, environment), force: options.force }
    const result = applyServerSide(current, deepCopy(given), context)
    const object = orderFields(deepCopy(result))
    return resource.custom ? defaulted(resource, object) : decodeApplied(object, resource, given)
  }
}

function decodeApplied(object: KubeObject, resource: Resource, given: KubeObject): KubeObject {
  try {
    return cleanUp(resource, object).object
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'BadRequest') throw error
    const said = `unable to convert unstructured object to ${appliedType(given)}: ${conversionError(decodingError(error))}`
    throw new StatusError(
      'Unknown',
      `failed to convert new object (${appliedName(given)}) to proper version: ${said}`,
      {
        cause: error,
      },
    )
  }
}

/** The decoder's own words. */
function decodingError({ message }: StatusError): string {
  return message.replace(/^\S+ in version "[^"]*" cannot be handled as a \S+: /, '')
}

function patchFunction(type: string, body: Body, resource: Resource): (current: KubeObject) => unknown {
  const decoding = type === PATCH_TYPES.strategic ? '' : 'error decoding patch: '
  if (body.error !== undefined) throw badRequest(`${decoding}${body.error}`)
  if (body.value === undefined) throw badRequest(`${decoding}unexpected end of JSON input`)
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

/** Without a version nothing beside it is known: no unknown field is let through, and no name found. */
function refuseVersionless(
  value: KubeObject,
  request: Pick<PatchRequest, 'options' | 'call'>,
  shown: () => unknown,
): never {
  const unknown = Object.keys(value)
    .filter((key) => key !== 'apiVersion' && key !== 'kind' && value[key] !== undefined)
    .sort()
  const problems = unknown.map((key) => `unknown field "${key}"`)
  reportPatchFields(problems, request, shown)
  throw badRequest(
    `the name of the object (${request.call.info.name} based on URL) was undeterminable: name must be provided`,
  )
}

const NO_VERSION = "Object 'apiVersion' is missing in 'object has no apiVersion field'"

/**
 * A patch may take kind and apiVersion away, and a strategic one may make them any text: what they are for built-in kinds
 * is said by the path.
 */
function identify(
  value: KubeObject,
  { resource, environment, call, options }: PatchedRequest,
  shown: () => unknown,
): void {
  const given = { apiVersion: value.apiVersion as unknown, kind: value.kind as unknown }
  if (given.apiVersion === groupVersion(resource) && given.kind === resource.kind) return
  if (resource.custom) {
    if (!given.kind) throw patchInvalid(shown(), `Object 'Kind' is missing in '${JSON.stringify(shown())}'`)
    if (!given.apiVersion)
      throw new StatusError('InternalError', `Internal error occurred: ${NO_VERSION}`, {
        details: { causes: [{ message: NO_VERSION }] },
      })
    const why = otherKind(resource, given, environment.registry)
    if (why !== undefined) throw patchInvalid(shown(), why)
    refuseOtherKind(resource, value)
  } else if (call.contentType === PATCH_TYPES.strategic) {
    for (const found of [given.apiVersion, given.kind])
      if (typeof (found ?? '') !== 'string') throw patchInvalid(shown(), unconvertible(goType(found), 'string'))
  } else {
    const why = otherKind(resource, given, environment.registry)
    if (why !== undefined) throw patchInvalid(shown(), why)
    if (!given.apiVersion) refuseVersionless(value, { options, call }, shown)
  }
  value.apiVersion = groupVersion(resource)
  value.kind = resource.kind
}

function decodePatched(value: KubeObject, { resource, call }: PatchedRequest, shown: () => unknown) {
  try {
    return cleanUp(resource, value)
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'BadRequest') throw error
    const said = decodingError(error)
    if (call.contentType === PATCH_TYPES.strategic) throw patchInvalid(shown(), conversionError(said))
    throw patchInvalid(shown(), said)
  }
}

/** A strategic merge patch is not decoded from JSON but converted value by value, which has words of its own. */
function conversionError(said: string): string {
  if (said.startsWith('illegal base64')) return `error decoding from json: ${said}`
  const match = /json: cannot unmarshal (\w+)(?: ([^ ]+))? into Go struct field \S+ of type (.+)$/.exec(said)
  if (!match) return said
  const [, found = '', value = '', wanted = ''] = match
  return unconvertible(found === 'number' && /[.e]/.test(value) ? 'float64' : (GO_TYPES[found] ?? found), wanted)
}

/** `type` and `wanted` are Go's. */
function unconvertible(type: string, wanted: string): string {
  const kind = type.startsWith('[]') ? 'slice' : type.replace(/\[.*/, '')
  if (wanted.startsWith('[]')) return `cannot restore slice from ${kind}`
  if (wanted.startsWith('map[') || wanted === 'v1.ResourceList') return `cannot restore map from ${kind}`
  if (wanted.includes('.')) return `cannot restore struct from: ${kind}`
  const isConvertible = type === 'int64' || (type === 'float64' && wanted.startsWith('int'))
  return isConvertible && wanted !== 'bool' ? `cannot convert ${type} to ${wanted}` : `unrecognized type: ${wanted}`
}

/** Of decoded JSON, by the names that decoding errors give to the same. */
const GO_TYPES: Readonly<Record<string, string>> = {
  number: 'int64',
  object: 'map[string]interface {}',
  array: '[]interface {}',
}

function reportPatchFields(
  problems: readonly string[],
  { options, call }: Pick<PatchRequest, 'options' | 'call'>,
  shown: () => unknown,
): void {
  if (problems.length === 0 || options.fieldValidation === 'Ignore') return
  if (options.fieldValidation === 'Warn') call.warnings.push(...problems)
  else throw patchInvalid(shown(), `strict decoding error: ${problems.join(', ')}`)
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

/** But for who owns what, which is as large as the rest of a large object and hardly ever what a patch is about. */
function privateCopy(patched: KubeObject, current: KubeObject): KubeObject {
  const shared = current.metadata.managedFields
  const metadata: unknown = patched.metadata
  if (!shared || !isObject(metadata) || metadata['managedFields'] !== shared) return deepCopy(patched)
  const { managedFields: _shared, ...own } = metadata
  const copy = deepCopy({ ...patched, metadata: own })
  copy.metadata.managedFields = shared.map((entry) => ({ ...entry }))
  return copy
}

function orderFields({ kind, apiVersion, metadata, ...rest }: KubeObject): KubeObject {
  return { kind, apiVersion, metadata, ...rest }
}
