/** `scale`: the replicas of any kind that says where it keeps them, as an autoscaling/v1 Scale. */
import { type KubeObject, type LabelSelector, type ManagedFieldsEntry, selectorText } from '@caisson/api'
import { isObject } from '../../patch/json-value.ts'
import { applyServerSide, refuseWrongTypes, trackUpdate } from '../../patch/managed-fields.ts'
import { define } from '../../patch/merge-patch.ts'
import { validateNonNegative } from '../../registry/builtin/amounts.ts'
import { groupVersion, storageKey } from '../../registry/registry.ts'
import type { Column, Resource } from '../../registry/resource.ts'
import { builtinSchema } from '../../schema/builtin.ts'
import { decodeNative } from '../../schema/native.ts'
import { type FieldError, invalid, StatusError } from '../../status-error.ts'
import { deepCopy } from '../../storage/freeze.ts'
import { AGE, column, NAME } from '../../table/builtin-columns.ts'
import type { Answer, Body, Call } from '../call.ts'
import { decodeObject } from '../decode-object.ts'
import type { Environment, Subresource } from '../environment.ts'
import { badRequest, notFound, unsupportedMediaType } from '../errors.ts'
import { type WriteOptions, writeOptions } from '../options.ts'
import { PATCH_TYPES, patchedObject } from '../patch.ts'
import { checkName, updateIn } from '../update-object.ts'
import { objectRules } from '../update-rules.ts'
import { viewed } from '../versions.ts'
import { writeContext } from '../write-context.ts'

const DEFINITION = 'io.k8s.api.autoscaling.v1.Scale'

export const SCALE: Subresource = {
  name: 'scale',
  kind: 'Scale',
  group: 'autoscaling',
  version: 'v1',
  verbs: ['get', 'patch', 'update'],
  handle(call, resource, environment) {
    if (call.info.verb === 'get') return read(call, resource, environment)
    return call.info.verb === 'update' ? put(call, resource, environment) : patch(call, resource, environment)
  },
}

interface Paths {
  specReplicasPath: string
  statusReplicasPath: string
  labelSelectorPath?: string
}

interface Scale extends KubeObject {
  spec: { replicas: number }
  status: { replicas: number; selector?: string }
}

/** The Scale kind as the decoder and the patches see it; nothing of it is stored. */
const SCALES: Resource = {
  group: 'autoscaling',
  version: 'v1',
  kind: 'Scale',
  listKind: '',
  plural: 'scale',
  singular: '',
  shortNames: [],
  categories: [],
  namespaced: true,
  verbs: [],
  storageVersion: 'v1',
  get schema() {
    return builtinSchema(DEFINITION)
  },
  decode: (value) => decodeNative(DEFINITION, value),
  strategy: {},
  columns: [],
  selectableFields: {},
  status: false,
  structural: true,
}

/** What of it kubectl shows. Kinds that are defined have the columns of their definitions, the others printers of their own. */
const COLUMNS: readonly Column[] = [
  { ...NAME, format: '' },
  column('Desired', (scale) => (scale as Scale).spec.replicas, { type: 'integer' }),
  column('Available', (scale) => (scale as Scale).status.replicas, { type: 'integer' }),
  AGE,
]
const CUSTOM_COLUMNS: readonly Column[] = [
  NAME,
  ...COLUMNS.slice(1, 3),
  column('Age', ({ metadata }) => metadata.creationTimestamp ?? null, { type: 'date' }),
]

/** Of an object as a client sees it. */
function answer(object: KubeObject, resource: Resource, name: string): Answer {
  const { custom = false } = resource
  const shown = { ...SCALES, custom, columns: custom ? CUSTOM_COLUMNS : COLUMNS }
  return { status: 200, body: scaleOf(object, resource, name), resource: shown }
}

async function read(call: Call, resource: Resource, { store }: Environment): Promise<Answer> {
  const { namespace, name } = call.info
  const stored = store.get(storageKey(resource), namespace || undefined, name)
  if (!stored) throw notFound(resource, name)
  return answer(await viewed(resource, stored), resource, name)
}

async function put(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const options = writeOptions('UpdateOptions', call.query, call.userAgent)
  const scale = decodeObject(SCALES, await call.readBody(), {
    registry: environment.registry,
    fieldValidation: options.fieldValidation,
    warnings: call.warnings,
  })
  return await write({ call, resource, environment, options, scaled: () => scale as Scale })
}

async function patch(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const accepted = Object.values(PATCH_TYPES)
  if (!accepted.some((type) => type === call.contentType)) throw unsupportedMediaType(accepted)
  const body = (await call.readBody()) ?? { value: undefined, text: '', duplicates: [] }
  if (call.contentType === PATCH_TYPES.apply) return await apply(call, resource, environment, body)
  const options = writeOptions('PatchOptions', call.query, call.userAgent)
  const patched = patchedObject({ resource: SCALES, environment, options, call, body })
  return await write({ call, resource, environment, options, scaled: (current) => patched(current) as Scale })
}

/**
 * Server-side apply: of a Scale only the replicas are kept, so that they are what is applied to the object, at the place
 * where its kind keeps them. Whoever else owns them is asked for, as everywhere.
 */
async function apply(call: Call, resource: Resource, environment: Environment, body: Body): Promise<Answer> {
  const options = writeOptions('PatchOptions', call.query, call.userAgent, true)
  const scale = appliedScale(body)
  const { name, namespace } = call.info
  const context = {
    ...writeContext(resource, 'scale', options, environment),
    force: options.force,
    shownVersion: 'autoscaling/v1',
  }
  const replicas = (scale.spec as Partial<Scale['spec']> | undefined)?.replicas
  return await store({ call, resource, environment, options }, (current) => {
    refuseNegative(replicas, resource, name)
    checkName({ ...scale, metadata: { ...scale.metadata, name: scale.metadata?.name ?? name } }, call)
    const config: KubeObject = {
      kind: resource.kind,
      apiVersion: groupVersion(resource),
      metadata: { name, ...(namespace !== '' && { namespace }) },
    }
    if (replicas !== undefined) setAt(config, (resource.scale as Paths).specReplicasPath, replicas)
    const next = deepCopy(applyServerSide(current, config, context)) as KubeObject
    const { resourceVersion } = scale.metadata ?? {}
    if (resourceVersion) next.metadata.resourceVersion = resourceVersion
    return next
  })
}

function appliedScale({ value, error }: Body): KubeObject {
  if (error !== undefined) throw badRequest(`error decoding YAML: ${error}`)
  if (!isObject(value)) throw badRequest('error decoding YAML: the body must be an object of kind Scale')
  const { apiVersion = '', kind = '' } = value as Partial<KubeObject>
  if (apiVersion !== 'autoscaling/v1' || kind !== 'Scale')
    throw badRequest(`invalid object type: ${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`)
  const scale = { ...value, metadata: value['metadata'] ?? {} } as KubeObject
  refuseWrongTypes(scale, builtinSchema(DEFINITION))
  return scale
}

interface ScaleCall {
  call: Call
  resource: Resource
  environment: Environment
  options: WriteOptions
}

interface ScaleWrite extends ScaleCall {
  scaled(current: Scale): Scale
}

function write({ scaled, ...scaleCall }: ScaleWrite): Promise<Answer> {
  const { call, resource, environment, options } = scaleCall
  const paths = resource.scale as Paths
  return store(scaleCall, (current) => {
    const scale = scaled(scaleOf(current, resource, call.info.name, UNSET))
    checkName(scale, call)
    if (scale.spec?.replicas === UNSET) throw badRequest(emptyReplicas(paths))
    refuseNegative(scale.spec?.replicas, resource, call.info.name)
    const next = deepCopy(current)
    setAt(next, paths.specReplicasPath, scale.spec?.replicas ?? 0)
    const { resourceVersion } = scale.metadata
    if (resourceVersion) next.metadata.resourceVersion = resourceVersion
    trackUpdate(current, next, writeContext(resource, 'scale', options, environment))
    return next
  })
}

async function store(
  { call, resource, environment, options }: ScaleCall,
  change: (current: KubeObject) => KubeObject,
): Promise<Answer> {
  const { object } = await environment.store.write(
    (transaction) =>
      updateIn(transaction, {
        call,
        resource,
        environment,
        options,
        rules: objectRules(resource),
        allowCreate: false,
        next(current) {
          if (!current) throw notFound(resource, call.info.name)
          const next = change(current)
          // Who scales owns the field from no time on, as kube-apiserver writes it.
          const { managedFields } = next.metadata
          if (managedFields) next.metadata.managedFields = managedFields.map(withoutTime)
          return next
        },
      }),
    call.share,
  )
  return answer(await viewed(resource, object), resource, call.info.name)
}

function withoutTime(entry: ManagedFieldsEntry): ManagedFieldsEntry {
  if (entry.subresource !== 'scale') return entry
  const { time: _time, ...rest } = entry
  return rest
}

/** Of a built-in kind the Scale itself is found invalid, of a custom one the object. */
function refuseNegative(replicas: number | undefined, { custom }: Resource, name: string): void {
  if (custom || replicas === undefined) return
  const errors: FieldError[] = []
  validateNonNegative(replicas, 'spec.replicas', errors)
  if (errors.length > 0) throw invalid({ group: 'autoscaling', kind: 'Scale' }, name, errors)
}

/** The smallest int32: what a patch finds where the object has no replicas yet, and has to replace. */
const UNSET = -2_147_483_648

function emptyReplicas({ specReplicasPath }: Paths): string {
  return `the spec replicas field ${JSON.stringify(specReplicasPath)} cannot be empty`
}

function scaleOf(object: KubeObject, resource: Resource, name: string, unset?: number): Scale {
  const paths = resource.scale as Paths
  const replicas = readAt(object, paths.specReplicasPath) ?? unset
  if (typeof replicas !== 'number')
    throw new StatusError(
      'InternalError',
      `Internal error occurred: the spec replicas field ${JSON.stringify(paths.specReplicasPath)} does not exist`,
      {
        details: {
          name,
          causes: [{ message: `the spec replicas field ${JSON.stringify(paths.specReplicasPath)} does not exist` }],
        },
      },
    )
  const selector = paths.labelSelectorPath === undefined ? undefined : readAt(object, paths.labelSelectorPath)
  const current = readAt(object, paths.statusReplicasPath)
  const { metadata } = object
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      ...pick(metadata, 'name'),
      ...pick(metadata, 'namespace'),
      ...pick(metadata, 'uid'),
      ...pick(metadata, 'resourceVersion'),
      ...pick(metadata, 'creationTimestamp'),
    },
    spec: { replicas },
    status: {
      replicas: typeof current === 'number' ? current : 0,
      ...(selector !== undefined && selector !== null && { selector: textOf(selector, resource) }),
    },
  }
}

function pick<K extends keyof KubeObject['metadata']>(metadata: KubeObject['metadata'], key: K) {
  return metadata[key] === undefined ? {} : { [key]: metadata[key] }
}

/** Custom resources keep it as text, ReplicationControllers as the labels themselves, other kinds as an object. */
function textOf(selector: unknown, { kind, custom }: Resource): string {
  if (typeof selector === 'string') return selector
  const isLabels = kind === 'ReplicationController' && !custom
  return selectorText(isLabels ? { matchLabels: selector as Record<string, string> } : (selector as LabelSelector))
}

/** `.spec.replicas`: dots and names, which is all that a definition may have there. */
function steps(path: string): string[] {
  return path.split('.').filter((step) => step !== '')
}

function readAt(object: KubeObject, path: string): unknown {
  let value: unknown = object
  for (const step of steps(path)) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  return value
}

function setAt(object: KubeObject, path: string, value: unknown): void {
  const names = steps(path)
  const last = names.pop() as string
  let target: Record<string, unknown> = object
  for (const name of names) {
    const next = Object.hasOwn(target, name) ? target[name] : undefined
    if (next !== undefined && (typeof next !== 'object' || next === null || Array.isArray(next)))
      throw badRequest(`${path} cannot be set: ${name} is not an object`)
    if (next === undefined) define(target, name, {})
    target = target[name] as Record<string, unknown>
  }
  define(target, last, value)
}
