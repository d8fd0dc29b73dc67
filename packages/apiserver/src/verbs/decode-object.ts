/** From a decoded body to an object of the kind that the path names: unknown fields, defaults, the shape of metadata. */
import type { KubeObject } from '@caisson/api'
import { goQuote, invalidValue } from '../registry/field-error.ts'
import { groupVersion, type Registry } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { applyDefaults } from '../schema/defaults.ts'
import { prune } from '../schema/prune.ts'
import { invalid } from '../status-error.ts'
import type { Body } from './call.ts'
import { MOST_PROBLEMS } from './decode.ts'
import { badRequest } from './errors.ts'
import type { FieldValidation } from './options.ts'

export interface DecodeOptions {
  registry: Pick<Registry, 'hasKind'>
  fieldValidation: FieldValidation
  warnings: string[]
}

/** The object of a create or an update: the caller's to change. */
export function decodeObject(
  resource: Resource,
  body: Body | undefined,
  { registry, fieldValidation, warnings }: DecodeOptions,
): KubeObject {
  if (body?.error !== undefined)
    throw unrecognized(
      resource,
      body,
      body.binary || body.error.startsWith('yaml') ? body.error : `${NO_TYPE}; json parse error: ${body.error}`,
    )
  // To Go, null is an object without fields.
  const value = body?.value === null && !resource.custom ? {} : body?.value
  if (!body || typeof value !== 'object' || value === null || Array.isArray(value))
    throw unrecognized(resource, body, `${NO_TYPE}; json parse error: ${body ? notAStruct(value) : EMPTY}`)
  const { object, problems } = cleanUp(
    resource,
    typedObject(resource, value as Partial<KubeObject>, { body, registry }),
  )
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
    // Of all lists the one that Go tells from none where it is empty: by it a client has forgotten who owns what.
    if (given.metadata?.managedFields?.length === 0) metadata.managedFields = []
    unknown = decoded.unknownFields
  } else {
    checkMetadata(resource, object)
    if (resource.structural) unknown = prune(resource.schema, object)
    applyDefaults(resource.schema, object)
  }
  resource.strategy.defaults?.(object)
  return { object, problems: unknown.slice(0, MOST_PROBLEMS).map((path) => `unknown field "${path}"`) }
}

/**
 * What an apply made of a custom resource: defaulted, but nothing is taken out of it, so that validation sees each null
 * and each unknown field that was stated. Before it is stored it has to go through `cleanUp`.
 */
export function defaulted(resource: Resource, object: KubeObject): KubeObject {
  checkMetadata(resource, object)
  applyDefaults(resource.schema, object, { keepNulls: true })
  resource.strategy.defaults?.(object)
  return object
}

function reportFields(
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

function typedObject(
  resource: Resource,
  given: Partial<KubeObject>,
  { body, registry }: { body: Body; registry: DecodeOptions['registry'] },
): KubeObject {
  const expected = groupVersion(resource)
  if (resource.custom) {
    if (!given.kind) throw unrecognized(resource, body, `Object 'Kind' is missing in '${body.text}'`)
    if ((given.apiVersion ?? undefined) === undefined)
      throw unrecognized(resource, body, `Object 'apiVersion' is missing in '${body.text}'`)
  }
  const { apiVersion: _apiVersion, kind: _kind, metadata = {}, ...rest } = given
  const apiVersion = isGiven(given.apiVersion) ? given.apiVersion : expected
  const kind = isGiven(given.kind) ? given.kind : resource.kind
  const why = otherKind(resource, { apiVersion, kind }, registry)
  if (why?.startsWith(NO_TYPE) || why?.startsWith('unexpected GroupVersion')) throw unrecognized(resource, body, why)
  if (why !== undefined) {
    const version = apiVersion.slice(apiVersion.indexOf('/') + 1)
    throw badRequest(`${kind} in version ${goQuote(version)} cannot be handled as a ${resource.kind}: ${why}`)
  }
  if (apiVersion !== expected || (resource.custom && given.apiVersion === ''))
    throw badRequest(
      `the API version in the data (${given.apiVersion}) does not match the expected API version (${expected})`,
    )
  if (resource.custom) refuseOtherKind(resource, given)
  // The same order everywhere, so that a list can cut kind and apiVersion off the front of an item's text.
  return { kind, apiVersion, metadata, ...rest } as KubeObject
}

/**
 * Why kind and apiVersion are not those of what the path names, in Go's words; undefined where they are, or are left out.
 * For custom resources that they are strings is all that is looked at.
 */
export function otherKind(
  resource: Resource,
  given: { apiVersion?: unknown; kind?: unknown },
  registry: DecodeOptions['registry'],
): string | undefined {
  const expected = groupVersion(resource)
  const apiVersion = isGiven(given.apiVersion) ? given.apiVersion : expected
  const kind = isGiven(given.kind) ? given.kind : resource.kind
  if (typeof apiVersion !== 'string') return `${NO_TYPE}; json parse error: ${wrongType(apiVersion, 'apiVersion')}`
  if (typeof kind !== 'string') return `${NO_TYPE}; json parse error: ${wrongType(kind, 'kind')}`
  if (apiVersion.split('/').length > 2) return `unexpected GroupVersion string: ${apiVersion}`
  if (resource.custom || (kind === resource.kind && apiVersion === expected)) return undefined
  if (!registry.hasKind(apiVersion, kind))
    return `no kind ${goQuote(kind)} is registered for version ${goQuote(apiVersion)} in scheme "${SCHEME}"`
  if (kind === resource.kind) return undefined
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1)
  return `converting (${version}.${kind}) to (${resource.group || 'core'}.${resource.kind}): unknown conversion`
}

/** To Go, null and empty text are as good as nothing. */
function isGiven<T>(value: T): value is NonNullable<T> {
  return value !== undefined && value !== null && value !== ''
}

/** Of custom resources, whose kind is looked at when they are validated. */
export function refuseOtherKind(resource: Resource, given: Partial<KubeObject>): void {
  const { apiVersion = '' } = given
  const group = apiVersion.slice(0, Math.max(apiVersion.indexOf('/'), 0))
  const wrong = (['kind', 'apiVersion'] as const).flatMap((field) => {
    const wanted = field === 'kind' ? resource.kind : groupVersion(resource)
    return given[field] === wanted ? [] : [invalidValue(field, given[field], `must be ${wanted}`)]
  })
  if (wrong.length > 0) throw invalid({ group, kind: String(given.kind) }, given.metadata?.name ?? '', wrong)
}

const EMPTY = 'unexpected end of JSON input'
const NO_TYPE = "couldn't get version/kind"
/** Where kube-apiserver's scheme is made: part of its message. */
const SCHEME = 'pkg/runtime/scheme.go:110'

function notAStruct(value: unknown): string {
  return `json: cannot unmarshal ${goType(value)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`
}

function wrongType(value: unknown, field: string): string {
  return `json: cannot unmarshal ${goType(value)} into Go struct field .${field} of type string`
}

function unrecognized(resource: Resource, body: Body | undefined, why: string) {
  const text = body?.text ?? ''
  const isObject = text.startsWith('{')
  const cut = (full: string) => (full.length > 30 ? `${full.slice(0, 30)} ...` : full)
  const summary =
    text === '' ? '<empty>' : isObject ? cut(text) : cutBytes(Buffer.from(text, body?.binary ? 'latin1' : 'utf8'))
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
const LISTS = [
  ['finalizers', 'string'],
  ['ownerReferences', 'object'],
  ['managedFields', 'object'],
] as const

/**
 * Every later step reads metadata as what its type says. Null is absent, as it is for Go; anything of another type is
 * refused here.
 */
function checkMetadata(resource: Resource, object: KubeObject): void {
  if (object.metadata === null || object.metadata === undefined) object.metadata = {}
  const metadata = object.metadata as Record<string, unknown>
  const fail = (field: string, expected: string) => {
    throw badRequest(
      `${cannotBeHandled(resource)}json: cannot unmarshal ${goType(field === '' ? metadata : metadata[field])} into Go ${field === '' ? 'value' : `struct field ObjectMeta.metadata.${field}`} of type ${expected}`,
    )
  }
  if (typeof metadata !== 'object' || Array.isArray(metadata)) fail('', 'v1.ObjectMeta')
  for (const key in metadata) if (metadata[key] === null) delete metadata[key]
  for (const field of STRINGS) if (field in metadata && typeof metadata[field] !== 'string') fail(field, 'string')
  // An empty string and an absent field are one and the same in Go.
  for (const field of STRINGS) if (metadata[field] === '') delete metadata[field]
  for (const field of STRING_MAPS) {
    const map = metadata[field]
    if (map === undefined || isStored(map)) continue
    if (typeof map !== 'object' || Array.isArray(map)) fail(field, 'map[string]string')
    for (const [key, value] of Object.entries(map as object)) {
      if (value === null) (map as Record<string, unknown>)[key] = ''
      else if (typeof value !== 'string') fail(field, 'string')
    }
  }
  for (const [field, type] of LISTS) {
    const list = metadata[field]
    if (list === undefined || isStored(list)) continue
    if (!Array.isArray(list) || list.some((item) => typeof item !== type || item === null)) fail(field, `[]${type}`)
  }
  for (const field of ['generation', 'deletionGracePeriodSeconds'])
    if (field in metadata && !Number.isSafeInteger(metadata[field])) fail(field, 'int64')
}

/** Part of a stored object, which a patch has left as it was; what requests bring along is not frozen. */
function isStored(value: unknown): boolean {
  return typeof value === 'object' && Object.isFrozen(value)
}

function goType(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  return typeof value
}
