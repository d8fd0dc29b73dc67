/** From a decoded body to an object of the kind that the path names: unknown fields, defaults, the shape of metadata. */
import type { KubeObject } from '@caisson/api'
import { groupVersion } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { applyDefaults } from '../schema/defaults.ts'
import { prune } from '../schema/prune.ts'
import type { Body } from './call.ts'
import { badRequest } from './errors.ts'
import type { FieldValidation } from './options.ts'

/** The object of a create or an update: the caller's to change. */
export function decodeObject(
  resource: Resource,
  body: Body | undefined,
  { fieldValidation, warnings }: { fieldValidation: FieldValidation; warnings: string[] },
): KubeObject {
  if (!body || typeof body.value !== 'object' || body.value === null || Array.isArray(body.value))
    throw unrecognized(resource, body)
  const given = body.value as Partial<KubeObject>
  const { object, problems } = cleanUp(resource, typedObject(resource, given, body))
  reportFields(resource, [...problems, ...body.duplicates], fieldValidation, warnings)
  return object
}

/**
 * Drops unknown fields, fills defaults and checks what the server itself relies on. `problems` are the unknown fields, in
 * the words of strict decoding. What is given may be changed.
 */
export function cleanUp(resource: Resource, given: KubeObject): { object: KubeObject; problems: readonly string[] } {
  let object = given
  let unknown: readonly string[] = []
  if (resource.decode) {
    const decoded = resource.decode(given)
    if (decoded.error !== undefined) throw badRequest(cannotBeHandled(resource) + decoded.error)
    const { kind: _kind, apiVersion: _apiVersion, metadata, ...rest } = decoded.object as KubeObject
    object = { kind: given.kind, apiVersion: given.apiVersion, metadata, ...rest }
    unknown = decoded.unknownFields
  } else {
    checkMetadata(resource, object)
    if (resource.structural) unknown = prune(resource.schema, object)
    applyDefaults(resource.schema, object)
  }
  resource.strategy.defaults?.(object)
  return { object, problems: unknown.map((path) => `unknown field "${path}"`) }
}

export function reportFields(
  resource: Resource,
  problems: readonly string[],
  fieldValidation: FieldValidation,
  warnings: string[],
): void {
  if (problems.length === 0 || fieldValidation === 'Ignore') return
  if (fieldValidation === 'Warn') warnings.push(...problems)
  else throw badRequest(`${cannotBeHandled(resource)}strict decoding error: ${problems.join(', ')}`)
}

function cannotBeHandled(resource: Resource): string {
  return `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: `
}

function typedObject(resource: Resource, given: Partial<KubeObject>, body: Body): KubeObject {
  const expected = groupVersion(resource)
  if (resource.custom) {
    if (!given.kind) throw unrecognized(resource, body, `Object 'Kind' is missing in '${body.text}'`)
    if (!given.apiVersion) throw unrecognized(resource, body, `Object 'apiVersion' is missing in '${body.text}'`)
  }
  const { apiVersion = expected, kind = resource.kind, metadata = {}, ...rest } = given
  if (typeof apiVersion !== 'string' || typeof kind !== 'string')
    throw unrecognized(
      resource,
      body,
      "couldn't get version/kind; json parse error: apiVersion and kind must be strings",
    )
  if (kind !== resource.kind && !resource.custom) {
    const version = apiVersion.slice(apiVersion.indexOf('/') + 1)
    throw badRequest(
      `${kind} in version "${version}" cannot be handled as a ${resource.kind}: converting (${version}.${kind}) to (${resource.group || 'core'}.${resource.kind}): unknown conversion`,
    )
  }
  if (apiVersion !== expected)
    throw badRequest(
      `the API version in the data (${apiVersion}) does not match the expected API version (${expected})`,
    )
  // The same order everywhere, so that a list can cut kind and apiVersion off the front of an item's text.
  return { kind, apiVersion, metadata, ...rest } as KubeObject
}

function unrecognized(resource: Resource, body: Body | undefined, why = "couldn't get version/kind") {
  const text = body?.text ?? ''
  const isObject = text.startsWith('{')
  const cut = (full: string) => (full.length > 30 ? `${full.slice(0, 30)} ...` : full)
  const summary = text === '' ? '<empty>' : isObject ? cut(text) : cutBytes(Buffer.from(text))
  return badRequest(`the object provided is unrecognized (must be of type ${resource.kind}): ${why} (${summary})`)
}

function cutBytes(bytes: Buffer): string {
  return bytes.length > 30 ? `${bytes.subarray(0, 30).toString('hex')} ...` : bytes.toString('hex')
}

const STRINGS = [
  'name',
  'generateName',
  'namespace',
  'uid',
  'resourceVersion',
  'deletionTimestamp',
  'creationTimestamp',
]
const STRING_MAPS = ['labels', 'annotations']
const LISTS = { finalizers: 'string', ownerReferences: 'object', managedFields: 'object' } as const

/**
 * Every later step reads metadata as what its type says. Null is absent, as it is for Go; anything of another type is
 * refused here.
 */
function checkMetadata(resource: Resource, object: KubeObject): void {
  if (object.metadata === null || object.metadata === undefined) object.metadata = {}
  const metadata = object.metadata as Record<string, unknown>
  const fail = (field: string, expected: string) => {
    throw badRequest(
      `${cannotBeHandled(resource)}json: cannot unmarshal ${goType(field === '' ? metadata : metadata[field])} into Go struct field ObjectMeta.metadata${field && `.${field}`} of type ${expected}`,
    )
  }
  if (typeof metadata !== 'object' || Array.isArray(metadata)) fail('', 'v1.ObjectMeta')
  for (const key in metadata) if (metadata[key] === null) delete metadata[key]
  for (const field of STRINGS) if (field in metadata && typeof metadata[field] !== 'string') fail(field, 'string')
  // An empty string and an absent field are one and the same in Go.
  for (const field of STRINGS) if (metadata[field] === '') delete metadata[field]
  for (const field of STRING_MAPS) {
    const map = metadata[field]
    if (map === undefined) continue
    if (typeof map !== 'object' || Array.isArray(map)) fail(field, 'map[string]string')
    for (const [key, value] of Object.entries(map as object)) {
      if (value === null) (map as Record<string, unknown>)[key] = ''
      else if (typeof value !== 'string') fail(field, 'string')
    }
  }
  for (const [field, type] of Object.entries(LISTS)) {
    const list = metadata[field]
    if (list === undefined) continue
    if (!Array.isArray(list) || list.some((item) => typeof item !== type || item === null)) fail(field, `[]${type}`)
  }
  for (const field of ['generation', 'deletionGracePeriodSeconds'])
    if (field in metadata && !Number.isSafeInteger(metadata[field])) fail(field, 'int64')
}

function goType(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  return typeof value
}
