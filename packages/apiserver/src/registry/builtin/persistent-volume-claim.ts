/** PersistentVolumeClaim: what is asked for, and that it cannot be changed behind the back of whoever binds it. */
import type { KubeObject } from '@caisson/api'
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Label, dns1123Subdomain } from '../names.ts'
import { type LabelSelector, validateLabelSelector } from '../object-meta.ts'
import { compareQuantities, nanoOf } from '../quantity.ts'
import type { Strategy } from '../resource.ts'
import { deepEqual } from './deep-equal.ts'
import { differences } from './differences.ts'
import { immutable } from './immutable.ts'
import { claimWarnings } from './storage-warnings.ts'

const ACCESS_MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']
export const VOLUME_MODES = ['Block', 'Filesystem']

export const persistentVolumeClaimStrategy: Strategy = {
  generation: false,
  returnsDeleted: true,
  defaults(object) {
    const claim = asClaim(object)
    if (claim.spec) claim.spec.volumeMode ??= 'Filesystem'
    object.status = { ...claim.status, phase: claim.status?.phase || 'Pending' }
  },
  prepareForCreate(object) {
    object.status = { phase: 'Pending' }
    alignDataSources(asClaim(object).spec)
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    alignDataSources(asClaim(next).spec)
  },
  validate: (object) => validateClaim(asClaim(object)),
  warnings: (object) => claimWarnings(asClaim(object)),
  validateUpdate(next, current) {
    const errors = validateClaim(asClaim(next))
    validateClaimUpdate(asClaim(next), asClaim(current), errors)
    return errors
  },
  validateStatusUpdate(next) {
    const errors: FieldError[] = []
    for (const [name, amount] of Object.entries(asClaim(next).status?.capacity ?? {})) {
      if (nanoOf(amount as string) < 0n) {
        errors.push(invalidValue(`status.capacity[${name}]`, amount, 'must be a valid resource quantity'))
      }
    }
    return errors
  },
}

function asClaim(object: KubeObject): PersistentVolumeClaim {
  return object as unknown as PersistentVolumeClaim
}

/** The older and the newer name of the same field say the same. */
function alignDataSources(spec: PersistentVolumeClaimSpec | undefined): void {
  if (!spec) return
  // Sources of other namespaces are for a feature that is off by default.
  if (spec.dataSourceRef?.namespace) delete spec.dataSourceRef
  // Before there was dataSourceRef, anything else here was dropped, and clients have come to rely on it.
  if (spec.dataSource && !spec.dataSourceRef && !isKnownSource(spec.dataSource)) delete spec.dataSource
  const { dataSource, dataSourceRef } = spec
  if (dataSource && !dataSourceRef) spec.dataSourceRef = { ...dataSource }
  else if (dataSourceRef && !dataSource) spec.dataSource = { ...dataSourceRef }
}

function isKnownSource({ apiGroup, kind }: { apiGroup?: string; kind: string }): boolean {
  return (
    (kind === 'PersistentVolumeClaim' && !apiGroup) ||
    (kind === 'VolumeSnapshot' && apiGroup === 'snapshot.storage.k8s.io')
  )
}

function validateClaim(claim: PersistentVolumeClaim): FieldError[] {
  const errors: FieldError[] = []
  validateClaimSpec(claim.spec ?? {}, 'spec', errors)
  return errors
}

/** Also the template of an ephemeral volume. */
export function validateClaimSpec(spec: PersistentVolumeClaimSpec, path: string, errors: FieldError[]): void {
  if (!spec.accessModes?.length) errors.push(required(`${path}.accessModes`, 'at least 1 access mode is required'))
  validateLabelSelector(spec.selector as LabelSelector | undefined, `${path}.selector`, errors)
  validateAccessModes(spec.accessModes ?? [], `${path}.accessModes`, errors)
  const storage = spec.resources?.requests?.['storage'] as string | undefined
  if (storage === undefined) errors.push(required(`${path}.resources[storage]`))
  else if (nanoOf(storage) <= 0n) {
    errors.push(invalidValue(`${path}.resources[storage]`, storage, 'must be greater than zero'))
  }
  const { storageClassName, volumeMode } = spec
  if (storageClassName) {
    for (const said of dns1123Subdomain(storageClassName)) {
      errors.push(invalidValue(`${path}.storageClassName`, storageClassName, said))
    }
  }
  if (volumeMode !== undefined && !VOLUME_MODES.includes(volumeMode)) {
    errors.push(notSupported(`${path}.volumeMode`, volumeMode, VOLUME_MODES))
  }
  if (spec.dataSource) validateDataSource(spec.dataSource, `${path}.dataSource`, errors)
  if (spec.dataSourceRef) validateDataSource(spec.dataSourceRef, `${path}.dataSourceRef`, errors)
  if (spec.dataSource && spec.dataSourceRef) {
    // Kubernetes prints the path of the field here, as Go prints one in JSON.
    if (spec.dataSourceRef.namespace)
      errors.push(invalidValue(path, {}, 'may not be specified when dataSourceRef.namespace is specified'))
    else if (!sameSource(spec.dataSource, spec.dataSourceRef))
      errors.push(invalidValue(path, {}, 'must match dataSourceRef'))
  }
  const { volumeAttributesClassName } = spec
  if (!volumeAttributesClassName) return
  for (const said of dns1123Subdomain(volumeAttributesClassName))
    errors.push(invalidValue(`${path}.volumeAttributesClassName`, volumeAttributesClassName, said))
}

export function validateAccessModes(modes: readonly string[], path: string, errors: FieldError[]): void {
  for (const mode of modes) if (!ACCESS_MODES.includes(mode)) errors.push(notSupported(path, mode, ACCESS_MODES))
  const others = modes.some((mode) => mode !== 'ReadWriteOncePod' && ACCESS_MODES.includes(mode))
  if (modes.includes('ReadWriteOncePod') && others) {
    errors.push(forbidden(path, 'may not use ReadWriteOncePod with other access modes'))
  }
}

interface DataSource {
  apiGroup?: string
  kind: string
  name: string
  namespace?: string
}

function sameSource(a: DataSource, b: DataSource): boolean {
  return a.kind === b.kind && a.name === b.name && (a.apiGroup ?? '') === (b.apiGroup ?? '')
}

function validateDataSource(source: DataSource, path: string, errors: FieldError[]): void {
  if (!source.name) errors.push(required(`${path}.name`))
  if (!source.kind) errors.push(required(`${path}.kind`))
  if (!source.apiGroup) {
    if (source.kind !== 'PersistentVolumeClaim') {
      const said = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
      errors.push(invalidValue(path, source.kind, said))
    }
  } else {
    for (const said of dns1123Subdomain(source.apiGroup)) {
      errors.push(invalidValue(`${path}.apiGroup`, source.apiGroup, said))
    }
  }
  if (source.namespace) {
    for (const said of dns1123Label(source.namespace)) {
      errors.push(invalidValue(`${path}.namespace`, source.namespace, said))
    }
  }
}

function validateClaimUpdate(next: PersistentVolumeClaim, current: PersistentVolumeClaim, errors: FieldError[]): void {
  const [spec, old] = [next.spec ?? {}, current.spec ?? {}]
  const munged: PersistentVolumeClaimSpec = { ...spec }
  // Set once, by whoever binds.
  if (!old.volumeName && spec.volumeName) delete munged.volumeName
  // Set once, by whoever gives default classes to claims that were made before there was one.
  if (old.storageClassName === undefined && spec.storageClassName) delete munged.storageClassName
  const bound = next.status?.phase === 'Bound'
  const oldSize = old.resources?.requests?.['storage'] as string | undefined
  const size = spec.resources?.requests?.['storage'] as string | undefined
  if (bound && munged.resources && oldSize !== undefined) {
    munged.resources = { ...munged.resources, requests: { ...munged.resources.requests, storage: oldSize } }
  }
  const comparable = { ...old }
  if (!old.volumeName) delete comparable.volumeName
  if (!deepEqual(munged, comparable)) {
    const said =
      'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'
    errors.push(forbidden('spec', `${said}\n${differences(comparable, munged)}`))
  }
  if (compareQuantities(size ?? '0', oldSize ?? '0') < 0) {
    const given = (current.status?.capacity?.['storage'] as string | undefined) ?? '0'
    if (compareQuantities(size ?? '0', given) <= 0) {
      errors.push(forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'))
    }
  }
  immutable(spec.volumeMode, old.volumeMode, 'volumeMode', errors)
}
