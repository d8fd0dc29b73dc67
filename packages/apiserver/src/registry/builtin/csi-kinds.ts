/** What CSI drivers and their sidecars tell each other. Nothing of ours attaches volumes: a driver that somebody installs does. */
import type { KubeObject } from '@caisson/api'
import type {
  CSIDriver,
  CSINode,
  CSINodeDriver,
  CSIStorageCapacity,
  VolumeAttachment,
} from 'kubernetes-types/storage/v1.js'
import type { FieldError } from '../../status-error.ts'
import * as columns from '../../table/storage-columns.ts'
import { duplicate, forbidden, invalidValue, notSupported, required, tooLong } from '../field-error.ts'
import { dns1123Subdomain, qualifiedName } from '../names.ts'
import { type LabelSelector, validateLabelSelector } from '../object-meta.ts'
import { nanoOf } from '../quantity.ts'
import type { Strategy } from '../resource.ts'
import { validateNonNegative } from './amounts.ts'
import { deepEqual } from './deep-equal.ts'
import { immutable } from './immutable.ts'
import type { Kind } from './kind.ts'
import { validateInlineVolume } from './persistent-volume.ts'
import { printedSelector } from './pod-template.ts'
import { keepSpec } from './replica-set.ts'
import { validateCsiDriver } from './volumes.ts'

const FS_GROUP_POLICIES = ['File', 'None', 'ReadWriteOnceWithFSType']
const LIFECYCLE_MODES = ['Persistent', 'Ephemeral']
const LONGEST_NODE_ID = 256
const LEAST_TOKEN_SECONDS = 600
const MOST_TOKEN_SECONDS = 2 ** 32
const MOST_ATTACHMENT_BYTES = 256 * 1024
const MOST_ERROR_BYTES = 1024

const driverStrategy: Strategy = {
  generation: false,
  unconditionalUpdate: false,
  returnsDeleted: true,
  defaults(object) {
    const spec = asDriver(object).spec
    if (!spec) return
    spec.attachRequired ??= true
    spec.podInfoOnMount ??= false
    spec.storageCapacity ??= false
    spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType'
    if (!spec.volumeLifecycleModes?.length) spec.volumeLifecycleModes = ['Persistent']
    spec.requiresRepublish ??= false
    spec.seLinuxMount ??= false
  },
  prepareForCreate: dropDisabledDriverFields,
  prepareForUpdate(next, current) {
    dropDisabledDriverFields(next)
    // Not there before the first change.
    if (!deepEqual(next['spec'], current['spec'])) next.metadata.generation = (current.metadata.generation ?? 0) + 1
  },
  validate: (object) => validateDriver(asDriver(object)),
  validateUpdate(next, current) {
    const errors = validateDriver(asDriver(next))
    const [spec, old] = [asDriver(next).spec, asDriver(current).spec]
    immutable(spec?.attachRequired, old?.attachRequired, 'spec.attachedRequired', errors)
    immutable(spec?.volumeLifecycleModes, old?.volumeLifecycleModes, 'spec.volumeLifecycleModes', errors)
    return errors
  },
}

/** Behind a feature gate that is off in 1.34. */
function dropDisabledDriverFields(object: KubeObject): void {
  delete (object['spec'] as { nodeAllocatableUpdatePeriodSeconds?: number }).nodeAllocatableUpdatePeriodSeconds
}

function asDriver(object: KubeObject): CSIDriver {
  return object as unknown as CSIDriver
}

function validateDriver({ spec }: CSIDriver): FieldError[] {
  const errors: FieldError[] = []
  const policy = spec.fsGroupPolicy
  if (policy !== undefined && !FS_GROUP_POLICIES.includes(policy))
    errors.push(notSupported('spec.fsGroupPolicy', policy, [...FS_GROUP_POLICIES].sort()))
  validateTokenRequests(spec.tokenRequests ?? [], errors)
  for (const mode of spec.volumeLifecycleModes ?? [])
    if (!LIFECYCLE_MODES.includes(mode)) errors.push(notSupported('spec.volumeLifecycleModes', mode, LIFECYCLE_MODES))
  return errors
}

function validateTokenRequests(requests: NonNullable<CSIDriver['spec']['tokenRequests']>, errors: FieldError[]): void {
  const audiences = new Set<string>()
  for (const [index, { audience, expirationSeconds: seconds = LEAST_TOKEN_SECONDS }] of requests.entries()) {
    const path = `spec.tokenRequests[${index}]`
    if (audiences.has(audience)) {
      errors.push(duplicate(`${path}.audience`, audience))
      continue
    }
    audiences.add(audience)
    const at = `${path}.expirationSeconds`
    if (seconds < LEAST_TOKEN_SECONDS)
      errors.push(invalidValue(at, seconds, 'may not specify a duration less than 10 minutes'))
    if (seconds > MOST_TOKEN_SECONDS)
      errors.push(invalidValue(at, seconds, 'may not specify a duration larger than 2^32 seconds'))
  }
}

const nodeStrategy: Strategy = {
  generation: false,
  unconditionalUpdate: false,
  returnsDeleted: true,
  validate: validateNode,
  validateUpdate(next, current) {
    const errors = validateNode(next)
    const drivers = new Map(driversOf(next).map((driver) => [driver.name, driver]))
    for (const old of driversOf(current)) {
      const driver = drivers.get(old.name)
      if (driver) immutable(driver, old, 'spec.drivers', errors)
    }
    return errors
  },
}

/** Go says null where there are none. */
function driversOf(object: KubeObject): CSINodeDriver[] {
  return (object as unknown as CSINode).spec.drivers ?? []
}

function validateNode(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const names = new Set<string>()
  driversOf(object).forEach((driver, index) => validateNodeDriver(driver, { names, index }, errors))
  return errors
}

function validateNodeDriver(
  driver: CSINodeDriver,
  { names, index }: { names: Set<string>; index: number },
  errors: FieldError[],
): void {
  const { name, nodeID, allocatable, topologyKeys } = driver
  const path = `spec.drivers[${index}]`
  validateCsiDriver(name, `${path}.name`, errors)
  if (!nodeID) errors.push(required(`${path}.nodeID`))
  if (Buffer.byteLength(nodeID) > LONGEST_NODE_ID)
    errors.push(invalidValue(`${path}.nodeID`, nodeID, `must be ${LONGEST_NODE_ID} characters or less`))
  validateNonNegative(allocatable?.count, `${path}.allocatable.count`, errors)
  if (names.has(name)) errors.push(duplicate(`${path}.name`, name))
  names.add(name)
  const keys = new Set<string>()
  for (const key of topologyKeys ?? []) {
    if (!key) errors.push(required(path))
    if (keys.has(key)) errors.push(duplicate(path, key))
    keys.add(key)
    for (const said of qualifiedName(key)) errors.push(invalidValue(path, key, said))
  }
}

const capacityStrategy: Strategy = {
  generation: false,
  unconditionalUpdate: false,
  validate: (object) => validateCapacity(asCapacity(object)),
  validateUpdate(next, current) {
    const errors = validateCapacity(asCapacity(next))
    const { nodeTopology, storageClassName } = asCapacity(next)
    if (!deepEqual(nodeTopology, current['nodeTopology'])) {
      const shown = nodeTopology ? printedSelector(nodeTopology as LabelSelector) : null
      errors.push(invalidValue('nodeTopology', shown, 'field is immutable'))
    }
    immutable(storageClassName, asCapacity(current).storageClassName, 'storageClassName', errors)
    return errors
  },
}

function asCapacity(object: KubeObject): CSIStorageCapacity {
  return object as unknown as CSIStorageCapacity
}

function validateCapacity({ nodeTopology, storageClassName, capacity }: CSIStorageCapacity): FieldError[] {
  const errors: FieldError[] = []
  validateLabelSelector(nodeTopology as LabelSelector | undefined, 'nodeTopology', errors)
  for (const said of dns1123Subdomain(storageClassName))
    errors.push(invalidValue('storageClassName', storageClassName, said))
  if (capacity !== undefined && nanoOf(capacity) < 0n)
    errors.push(invalidValue('capacity', capacity, 'must be greater than or equal to 0'))
  return errors
}

const attachmentStrategy: Strategy = {
  generation: false,
  unconditionalUpdate: false,
  returnsDeleted: true,
  prepareForCreate(object) {
    object.status = { attached: false }
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
  },
  prepareForStatusUpdate: keepSpec,
  validate(object) {
    const errors = validateAttachment(asAttachment(object))
    const { attacher, source } = asAttachment(object).spec
    validateCsiDriver(attacher, 'spec.attacher', errors)
    const name = source.persistentVolumeName
    if (name !== undefined)
      for (const said of dns1123Subdomain(name))
        errors.push(invalidValue('spec.source.persistentVolumeName', name, said))
    return errors
  },
  validateUpdate(next, current) {
    const errors = validateAttachment(asAttachment(next))
    immutable(next['spec'], current['spec'], 'spec', errors)
    return errors
  },
  validateStatusUpdate: (next) => validateAttachment(asAttachment(next)),
}

function asAttachment(object: KubeObject): VolumeAttachment {
  return object as unknown as VolumeAttachment
}

function validateAttachment({ spec, status }: VolumeAttachment): FieldError[] {
  const errors: FieldError[] = []
  if (!spec.attacher) errors.push(required('spec.attacher'))
  validateAttachmentSource(spec.source ?? {}, errors)
  for (const said of dns1123Subdomain(spec.nodeName ?? ''))
    errors.push(invalidValue('spec.nodeName', spec.nodeName, said))
  let bytes = 0
  for (const [key, value] of Object.entries(status?.attachmentMetadata ?? {}))
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
  if (bytes > MOST_ATTACHMENT_BYTES) errors.push(tooLong('status.attachmentMetadata', MOST_ATTACHMENT_BYTES))
  for (const field of ['attachError', 'detachError'] as const) {
    // Newer than the types.
    const { message = '', errorCode } = (status?.[field] ?? {}) as { message?: string; errorCode?: number }
    // The bound that it names is that of the metadata.
    if (Buffer.byteLength(message) > MOST_ERROR_BYTES)
      errors.push(tooLong(`status.${field}.message`, MOST_ATTACHMENT_BYTES))
    if (errorCode !== undefined && errorCode < 0)
      errors.push(invalidValue(`status.${field}.errorCode`, errorCode, 'must be between 0 and 2147483647, inclusive'))
  }
  return errors
}

function validateAttachmentSource(source: VolumeAttachment['spec']['source'], errors: FieldError[]): void {
  const { inlineVolumeSpec, persistentVolumeName } = source
  const one = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'
  if (!inlineVolumeSpec && persistentVolumeName === undefined) errors.push(required('spec.source', one))
  else if (inlineVolumeSpec && persistentVolumeName !== undefined) errors.push(forbidden('spec.source', one))
  else if (inlineVolumeSpec) validateInlineVolume(inlineVolumeSpec, 'spec.source.inlineVolumeSpec', errors)
  else if (!persistentVolumeName)
    errors.push(required('spec.source.persistentVolumeName', 'must specify non empty persistentVolumeName'))
}

const STORAGE = { definitions: 'io.k8s.api.storage.v1', group: 'storage.k8s.io' } as const

export const csiKinds: readonly Kind[] = [
  {
    ...STORAGE,
    kind: 'CSIDriver',
    plural: 'csidrivers',
    namespaced: false,
    columns: columns.csiDriverColumns,
    strategy: driverStrategy,
  },
  {
    ...STORAGE,
    kind: 'CSINode',
    plural: 'csinodes',
    namespaced: false,
    columns: columns.csiNodeColumns,
    strategy: nodeStrategy,
  },
  {
    ...STORAGE,
    kind: 'CSIStorageCapacity',
    plural: 'csistoragecapacities',
    namespaced: true,
    columns: columns.csiStorageCapacityColumns,
    strategy: capacityStrategy,
  },
]

export const volumeAttachmentKind: Kind = {
  ...STORAGE,
  kind: 'VolumeAttachment',
  plural: 'volumeattachments',
  namespaced: false,
  status: true,
  columns: columns.volumeAttachmentColumns,
  strategy: attachmentStrategy,
}
