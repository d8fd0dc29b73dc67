/** What a PersistentVolumeClaim needs next: pure, in the order in which kube-controller-manager looks at it. */
import { IMAGE_FILE_ANNOTATION, parseQuantity } from '@caisson/api'
import type { PodObject, Typed } from '@caisson/client'
import type { PersistentVolume, PersistentVolumeClaim } from 'kubernetes-types/core/v1.d.ts'
import type { StorageClass } from 'kubernetes-types/storage/v1.d.ts'

export type Claim = Typed<PersistentVolumeClaim>
export type Volume = Typed<PersistentVolume>

/** The provisioner of the embedded cluster: a directory of this machine for each claim. */
export const PROVISIONER = 'caisson.dev/local-directory'
export const CLAIM_PROTECTION = 'kubernetes.io/pvc-protection'
export const VOLUME_PROTECTION = 'kubernetes.io/pv-protection'
/** Of a class: `true` gives each claim a file system of its size, which it takes from the disk at once. */
const ENFORCE_SIZE = 'enforceSize'
const IMAGE_FILE = 'volume.ext4'
/** A smaller ext4 has no room for its journal. */
const SMALLEST_SIZED = { bytes: 16 * 2 ** 20, text: '16Mi' }
export const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by'

export interface ObservedClaim {
  claim: Claim
  volumes: readonly Volume[]
  classes: ReadonlyArray<Typed<StorageClass>>
  /** Pods of its namespace that name it and have not ended. */
  pods: readonly PodObject[]
}

export type ClaimPlan =
  | { kind: 'nothing' }
  | { kind: 'release' }
  /** The volume says whose it is, the claim which it has, both that they are bound. */
  | { kind: 'bind'; volume: Volume }
  | { kind: 'provision'; volume: Volume }
  | { kind: 'lost' }
  /** Nothing can be done for it now; `reason` and `message` are the event. */
  | { kind: 'wait'; type: 'Normal' | 'Warning'; reason: string; message: string }

/** @param directoryOf where a provisioned volume of this name has its directory */
export function planClaim(
  { claim, volumes, classes, pods }: ObservedClaim,
  directoryOf: (volume: string) => string,
): ClaimPlan {
  if (claim.metadata.deletionTimestamp) {
    return claim.metadata.finalizers?.includes(CLAIM_PROTECTION) && pods.length === 0
      ? { kind: 'release' }
      : { kind: 'nothing' }
  }
  const named = claim.spec?.volumeName
  if (named) {
    const volume = volumes.find((one) => one.metadata.name === named)
    if (!volume) {
      if (claim.status?.phase === 'Lost') return { kind: 'nothing' }
      return claim.status?.phase === 'Bound' ? { kind: 'lost' } : { kind: 'nothing' }
    }
    return isClaimedBy(volume, claim) && !isBound(volume, claim) ? { kind: 'bind', volume } : { kind: 'nothing' }
  }
  const reserved = volumes.find((one) => one.spec?.claimRef !== undefined && isClaimedBy(one, claim))
  const found = reserved ?? smallestThatFits(claim, volumes)
  if (found) return { kind: 'bind', volume: found }

  const className = claim.spec?.storageClassName ?? ''
  if (className === '') {
    return {
      kind: 'wait',
      type: 'Normal',
      reason: 'FailedBinding',
      message: 'no persistent volumes available for this claim and no storage class is set',
    }
  }
  const storageClass = classes.find((one) => one.metadata.name === className)
  if (!storageClass) {
    return {
      kind: 'wait',
      type: 'Warning',
      reason: 'ProvisioningFailed',
      message: `storageclass.storage.k8s.io "${className}" not found`,
    }
  }
  if (storageClass.volumeBindingMode === 'WaitForFirstConsumer' && pods.length === 0) {
    return {
      kind: 'wait',
      type: 'Normal',
      reason: 'WaitForFirstConsumer',
      message: 'waiting for first consumer to be created before binding',
    }
  }
  if (storageClass.provisioner !== PROVISIONER) {
    return {
      kind: 'wait',
      type: 'Normal',
      reason: 'ExternalProvisioning',
      message: `Waiting for a volume to be created either by the external provisioner '${storageClass.provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`,
    }
  }
  return { kind: 'provision', volume: provisionedVolume(claim, storageClass, directoryOf) }
}

function isClaimedBy(volume: Volume, claim: Claim): boolean {
  const reference = volume.spec?.claimRef
  if (!reference) return true
  if (reference.namespace !== claim.metadata.namespace || reference.name !== claim.metadata.name) return false
  return !reference.uid || reference.uid === claim.metadata.uid
}

function isBound(volume: Volume, claim: Claim): boolean {
  return (
    volume.spec?.claimRef?.uid === claim.metadata.uid &&
    volume.status?.phase === 'Bound' &&
    claim.status?.phase === 'Bound'
  )
}

function smallestThatFits(claim: Claim, volumes: readonly Volume[]): Volume | undefined {
  const wanted = sizeOf(claim.spec?.resources?.requests)
  const size = (volume: Volume): number => sizeOf(volume.spec?.capacity)
  return volumes
    .filter(
      (volume) =>
        volume.spec?.claimRef === undefined &&
        !volume.metadata.deletionTimestamp &&
        (volume.spec?.storageClassName ?? '') === (claim.spec?.storageClassName ?? '') &&
        (volume.spec?.volumeMode ?? 'Filesystem') === (claim.spec?.volumeMode ?? 'Filesystem') &&
        (claim.spec?.accessModes ?? []).every((mode) => volume.spec?.accessModes?.includes(mode)) &&
        matches(claim.spec?.selector?.matchLabels, volume.metadata.labels) &&
        size(volume) >= wanted,
    )
    .sort((a, b) => size(a) - size(b))[0]
}

function matches(
  wanted: Readonly<Record<string, string>> | undefined,
  labels: Readonly<Record<string, string>> = {},
): boolean {
  return Object.entries(wanted ?? {}).every(([key, value]) => labels[key] === value)
}

function provisionedVolume(
  claim: Claim,
  storageClass: Typed<StorageClass>,
  directoryOf: (volume: string) => string,
): Volume {
  const name = `pvc-${claim.metadata.uid}`
  const sized = storageClass.parameters?.[ENFORCE_SIZE] === 'true'
  const asked = claim.spec?.resources?.requests?.['storage'] ?? '1Gi'
  const tooSmall = sized && (parseQuantity(asked) ?? 0) < SMALLEST_SIZED.bytes
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name,
      annotations: { [PROVISIONED_BY]: PROVISIONER, ...(sized && { [IMAGE_FILE_ANNOTATION]: IMAGE_FILE }) },
    },
    spec: {
      capacity: { storage: tooSmall ? SMALLEST_SIZED.text : asked },
      accessModes: claim.spec?.accessModes ?? ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
      storageClassName: storageClass.metadata.name ?? '',
      volumeMode: claim.spec?.volumeMode ?? 'Filesystem',
      claimRef: {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        namespace: claim.metadata.namespace ?? '',
        name: claim.metadata.name ?? '',
        uid: claim.metadata.uid ?? '',
      },
      hostPath: { path: directoryOf(name), type: 'DirectoryOrCreate' },
    },
  }
}

export type VolumePlan =
  | { kind: 'nothing' }
  | { kind: 'phase'; phase: 'Available' | 'Released' }
  /** Its claim is gone and it is ours: the directory goes, then the object. */
  | { kind: 'reclaim' }
  /** Being deleted, and no claim holds it. */
  | { kind: 'release' }

/** What a PersistentVolume needs next. `claim` is the one that its claimRef names, where it still exists. */
export function planVolume(volume: Volume, claim: Claim | undefined): VolumePlan {
  const reference = volume.spec?.claimRef
  const held = claim !== undefined && reference?.uid === claim.metadata.uid
  if (volume.metadata.deletionTimestamp) {
    return !held && volume.metadata.finalizers?.includes(VOLUME_PROTECTION) ? { kind: 'release' } : { kind: 'nothing' }
  }
  if (!reference)
    return volume.status?.phase === 'Available' ? { kind: 'nothing' } : { kind: 'phase', phase: 'Available' }
  // Reserved by name for a claim that has not come yet.
  if (!reference.uid || held) return { kind: 'nothing' }
  const ours = volume.metadata.annotations?.[PROVISIONED_BY] === PROVISIONER
  if (ours && volume.spec?.persistentVolumeReclaimPolicy === 'Delete') return { kind: 'reclaim' }
  return volume.status?.phase === 'Released' ? { kind: 'nothing' } : { kind: 'phase', phase: 'Released' }
}

/** Bytes of storage; 0 where none is stated. */
function sizeOf(list: Record<string, string> | undefined): number {
  return parseQuantity(list?.['storage'] ?? '0') ?? Number.NaN
}
