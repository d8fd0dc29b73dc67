import type { KubeObject } from '@caisson/api'
import type { CSIPersistentVolumeSource, PersistentVolume, PersistentVolumeSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Label, dns1123Subdomain } from '../names.ts'
import { nanoOf } from '../quantity.ts'
import type { Strategy } from '../resource.ts'
import { deepEqual } from './deep-equal.ts'
import { differences } from './differences.ts'
import { validateDriverSource } from './driver-sources.ts'
import { validateNoBacksteps } from './file-paths.ts'
import { immutable } from './immutable.ts'
import { VOLUME_MODES, validateAccessModes } from './persistent-volume-claim.ts'
import { validateNodeSelector } from './pod-affinity.ts'
import { volumeWarnings } from './storage-warnings.ts'
import { validateCsiDriver, validateHostPath, validateNfs } from './volumes.ts'

export const persistentVolumeStrategy: Strategy = {
  generation: false,
  returnsDeleted: true,
  defaults(object) {
    const volume = asVolume(object)
    object.status = { ...volume.status, phase: volume.status?.phase || 'Pending' }
    const { spec } = volume
    if (!spec) return
    spec.persistentVolumeReclaimPolicy ||= 'Retain'
    spec.volumeMode ??= 'Filesystem'
    if (spec.hostPath) spec.hostPath.type ??= ''
  },
  prepareForCreate(object, { now }) {
    // Stamped with the phase, so that a volume that never gets one can be told from a new one.
    const stamp = `${new Date(now).toISOString().slice(0, 19)}Z`
    object.status = { phase: 'Pending', lastPhaseTransitionTime: stamp }
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
  },
  prepareForStatusUpdate(next, current, { now }) {
    next.spec = structuredClone(current.spec)
    const status = next.status as Record<string, unknown>
    const old = current.status as Record<string, unknown>
    if (status['phase'] !== old['phase'] && status['lastPhaseTransitionTime'] === old['lastPhaseTransitionTime']) {
      status['lastPhaseTransitionTime'] = `${new Date(now).toISOString().slice(0, 19)}Z`
    }
  },
  validate: (object) => validateVolume(asVolume(object)),
  warnings: (object) => volumeWarnings(asVolume(object)),
  validateUpdate(next, current) {
    const errors = validateVolume(asVolume(next))
    const [spec, old] = [asVolume(next).spec ?? {}, asVolume(current).spec ?? {}]
    const [source, oldSource] = [sourceOf(withAddedSecret(spec, old)), sourceOf(old)]
    if (!deepEqual(source, oldSource)) {
      const said = `spec.persistentvolumesource is immutable after creation\n${differences(oldSource, source)}`
      errors.push(forbidden('spec.persistentvolumesource', said))
    }
    immutable(spec.volumeMode, old.volumeMode, 'volumeMode', errors)
    if (old.nodeAffinity) immutable(spec.nodeAffinity, old.nodeAffinity, 'nodeAffinity', errors)
    if (old.volumeAttributesClassName !== undefined && spec.volumeAttributesClassName === undefined)
      errors.push(forbidden('spec.volumeAttributesClassName', 'update from non-nil value to nil is forbidden'))
    return errors
  },
}

function asVolume(object: KubeObject): PersistentVolume {
  return object as unknown as PersistentVolume
}

const SOURCES = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'glusterfs',
  'flocker',
  'nfs',
  'rbd',
  'quobyte',
  'cephfs',
  'iscsi',
  'cinder',
  'fc',
  'flexVolume',
  'azureFile',
  'vsphereVolume',
  'photonPersistentDisk',
  'portworxVolume',
  'azureDisk',
  'scaleIO',
  'local',
  'storageos',
  'csi',
] as const

/** Which Secret expands a volume may be said later: then it counts as said from the start. */
function withAddedSecret(spec: PersistentVolumeSpec, old: PersistentVolumeSpec): PersistentVolumeSpec {
  if (!spec.csi?.controllerExpandSecretRef || !old.csi || old.csi.controllerExpandSecretRef) return spec
  const { controllerExpandSecretRef: _added, ...csi } = spec.csi
  return { ...spec, csi }
}

function sourceOf(spec: PersistentVolumeSpec): Record<string, unknown> {
  return Object.fromEntries(SOURCES.flatMap((name) => (spec[name] ? [[name, spec[name]]] : [])))
}

const RECLAIM_POLICIES = ['Delete', 'Recycle', 'Retain']

/** A volume that stands in another object, such as a VolumeAttachment: one of CSI, that nobody claims. */
export function validateInlineVolume(spec: PersistentVolumeSpec, path: string, errors: FieldError[]): void {
  const said = 'may not be specified in the context of inline volumes'
  if (spec.claimRef) errors.push(forbidden(`${path}.claimRef`, said))
  if (Object.keys(spec.capacity ?? {}).length > 0) errors.push(forbidden(`${path}.capacity`, said))
  if (!spec.csi) errors.push(required(`${path}.csi`, 'has to be specified in the context of inline volumes'))
  if (!spec.accessModes?.length) errors.push(required(`${path}.accessModes`))
  validateAccessModes(spec.accessModes ?? [], `${path}.accessModes`, errors)
  const policy = spec.persistentVolumeReclaimPolicy
  if (policy && policy !== 'Retain') {
    const only = 'may only be Retain in the context of inline volumes'
    errors.push(forbidden(`${path}.persistentVolumeReclaimPolicy`, only))
  }
  if (spec.nodeAffinity) errors.push(forbidden(`${path}.nodeAffinity`, said))
  if (spec.storageClassName) errors.push(forbidden(`${path}.storageClassName`, said))
  validateSource(spec, '', path, errors)
  if (spec.volumeMode !== undefined && spec.volumeMode !== 'Filesystem') {
    const only = 'may not specify volumeMode other than Filesystem in the context of inline volumes'
    errors.push(forbidden(`${path}.volumeMode`, only))
  }
}

function validateVolume(volume: PersistentVolume): FieldError[] {
  const errors: FieldError[] = []
  const spec = volume.spec ?? {}
  if (!spec.accessModes?.length) errors.push(required('spec.accessModes'))
  validateAccessModes(spec.accessModes ?? [], 'spec.accessModes', errors)
  validateCapacity((spec.capacity ?? {}) as Record<string, string>, errors)
  const policy = spec.persistentVolumeReclaimPolicy
  if (policy && !RECLAIM_POLICIES.includes(policy)) {
    errors.push(notSupported('spec.persistentVolumeReclaimPolicy', policy, RECLAIM_POLICIES))
  }
  if (spec.nodeAffinity) {
    const { required: needed } = spec.nodeAffinity
    if (needed) validateNodeSelector(needed, 'spec.nodeAffinity.required', errors)
    else errors.push(required('spec.nodeAffinity.required', 'must specify required node constraints'))
  }
  validateSource(spec, volume.metadata?.name ?? '', 'spec', errors)
  if (spec.hostPath && policy === 'Recycle' && /^\/*(?:\.\/*)*$/.test(spec.hostPath.path)) {
    errors.push(forbidden('spec.persistentVolumeReclaimPolicy', "may not be 'recycle' for a hostPath mount of '/'"))
  }
  if (spec.storageClassName) {
    for (const said of dns1123Subdomain(spec.storageClassName)) {
      errors.push(invalidValue('spec.storageClassName', spec.storageClassName, said))
    }
  }
  if (spec.volumeMode !== undefined && !VOLUME_MODES.includes(spec.volumeMode)) {
    errors.push(notSupported('spec.volumeMode', spec.volumeMode, VOLUME_MODES))
  }
  validateAttributesClass(spec, errors)
  return errors
}

function validateCapacity(capacity: Readonly<Record<string, string>>, errors: FieldError[]): void {
  const entries = Object.entries(capacity)
  if (entries.length === 0) errors.push(required('spec.capacity'))
  if (!Object.hasOwn(capacity, 'storage') || entries.length > 1) {
    errors.push(
      notSupported(
        'spec.capacity',
        entries.length ? Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))) : null,
        ['storage'],
      ),
    )
  }
  for (const [name, amount] of entries) {
    const path = `spec.capacity[${name}]`
    if (nanoOf(amount) < 0n) errors.push(invalidValue(path, Number(amount), 'must be a valid resource quantity'))
    if (nanoOf(amount) <= 0n) errors.push(invalidValue(path, amount, 'must be greater than zero'))
  }
}

function validateSource(spec: PersistentVolumeSpec, name: string, path: string, errors: FieldError[]): void {
  const [first, ...others] = SOURCES.filter((source) => spec[source])
  if (!first) {
    errors.push(required(path, 'must specify a volume type'))
    return
  }
  const at = { path, errors, owner: { kind: 'PersistentVolume', name } } as const
  if (first === 'hostPath') validateHostPath(spec.hostPath ?? { path: '' }, `${path}.hostPath`, errors)
  else if (first === 'nfs') validateNfs(spec.nfs ?? { server: '', path: '' }, `${path}.nfs`, errors)
  else if (first === 'local') {
    if (!spec.local?.path) errors.push(required(`${path}.local.path`))
    else validateNoBacksteps(spec.local.path, `${path}.local.path`, errors)
    if (!spec.nodeAffinity) errors.push(required(`${path}.nodeAffinity`, 'Local volume requires node affinity'))
  } else if (spec.csi && first === 'csi') validateCsi(spec.csi, `${path}.csi`, errors)
  else validateDriverSource(spec, first, at)
  for (const other of others) {
    // kube-apiserver forgets to count here.
    if (other === 'flexVolume') validateDriverSource(spec, other, at)
    else {
      const said = other === 'cephfs' ? 'cephFS' : other
      errors.push(forbidden(`${path}.${said}`, 'may not specify more than 1 volume type'))
    }
  }
}

const CSI_SECRETS = [
  'controllerPublishSecretRef',
  'controllerExpandSecretRef',
  'nodePublishSecretRef',
  'nodeExpandSecretRef',
] as const

function validateCsi(source: CSIPersistentVolumeSource, path: string, errors: FieldError[]): void {
  validateCsiDriver(source.driver ?? '', `${path}.driver`, errors)
  if (!source.volumeHandle) errors.push(required(`${path}.volumeHandle`))
  for (const field of CSI_SECRETS) {
    const secret = source[field]
    if (!secret) continue
    for (const [part, rule] of [
      ['name', dns1123Subdomain],
      ['namespace', dns1123Label],
    ] as const) {
      const at = `${path}.${field}.${part}`
      const value = secret[part]
      if (!value) errors.push(required(at))
      else for (const said of rule(value)) errors.push(invalidValue(at, value, said))
    }
  }
}

function validateAttributesClass(spec: PersistentVolumeSpec, errors: FieldError[]): void {
  const { volumeAttributesClassName: name } = spec
  if (name === undefined) return
  const at = 'spec.volumeAttributesClassName'
  if (name === '') errors.push(required(at, 'an empty string is disallowed'))
  else for (const said of dns1123Subdomain(name)) errors.push(invalidValue(at, name, said))
  if (!spec.csi) errors.push(required('spec.csi', 'has to be specified when using volumeAttributesClassName'))
}
