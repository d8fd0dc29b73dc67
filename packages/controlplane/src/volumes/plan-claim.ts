/** What a PersistentVolumeClaim needs next: pure, in the order in which kube-controller-manager looks at it. */
import { IMAGE_FILE_ANNOTATION, parseQuantity } from '@caisson/api'
import type { PodObject, Typed } from '@caisson/client'
import type { StorageClass } from 'kubernetes-types/storage/v1.d.ts'
import {
  type Claim,
  classOf,
  findVolume,
  isReservedFor,
  type NodeLabels,
  type Volume,
  whatIsLacking,
} from './match-volume.ts'

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
/** Of a volume or a claim: that the other one was found for it, and not named by whoever made it. */
export const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller'

export interface ObservedClaim {
  claim: Claim
  volumes: readonly Volume[]
  classes: ReadonlyArray<Typed<StorageClass>>
  /** Pods of its namespace that name it and have not ended. */
  pods: readonly PodObject[]
  nodes: readonly NodeLabels[]
}

interface Said {
  reason: string
  message: string
}

export type ClaimPlan =
  | { kind: 'nothing' }
  | { kind: 'release' }
  /** The volume says whose it is, the claim which it has, both that they are bound. */
  | { kind: 'bind'; volume: Volume }
  | { kind: 'provision'; volume: Volume }
  /** It was bound, and its volume is gone or another's; `reason` and `message` are the event. */
  | ({ kind: 'lost' } & Said)
  /** Nothing can be done for it now; `reason` and `message` are the event. */
  | ({ kind: 'wait'; type: 'Normal' | 'Warning' } & Said)

/** @param directoryOf where a provisioned volume of this name has its directory */
export function planClaim(
  { claim, volumes, classes, pods, nodes }: ObservedClaim,
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
    return wasBound(claim) ? planBound(claim, volume) : planNamed(claim, volume)
  }
  const className = classOf(claim)
  const storageClass = classes.find((one) => one.metadata.name === className)
  const delayed = storageClass?.volumeBindingMode === 'WaitForFirstConsumer'
  const users = pods.length === 0 ? [] : nodes
  const found = findVolume(claim, volumes, delayed ? users : undefined)
  if (found) return { kind: 'bind', volume: found }

  if (className === '') {
    return {
      kind: 'wait',
      type: 'Normal',
      reason: 'FailedBinding',
      message: 'no persistent volumes available for this claim and no storage class is set',
    }
  }
  if (!storageClass) {
    return {
      kind: 'wait',
      type: 'Warning',
      reason: 'ProvisioningFailed',
      message: `storageclass.storage.k8s.io "${className}" not found`,
    }
  }
  if (delayed && pods.length === 0) {
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

/** By its status, which tenants do not write: the annotation that Kubernetes goes by could be part of what they apply. */
function wasBound({ status }: Claim): boolean {
  return status?.phase === 'Bound' || status?.phase === 'Lost'
}

/** @param volume what the claim was bound to */
function planBound(claim: Claim, volume: Volume | undefined): ClaimPlan {
  // Also one that has come to say nobody's name.
  if (volume && (!volume.spec?.claimRef || isReservedFor(volume, claim)))
    return isBound(volume, claim) ? { kind: 'nothing' } : { kind: 'bind', volume }
  if (claim.status?.phase === 'Lost') return { kind: 'nothing' }
  return {
    kind: 'lost',
    ...(volume
      ? {
          reason: 'ClaimMisbound',
          message: 'Two claims are bound to the same volume, this one is bound incorrectly',
        }
      : {
          reason: 'ClaimLost',
          message: 'Bound claim has lost its PersistentVolume. Data on the volume is lost!',
        }),
  }
}

/** @param volume what whoever made the claim asks for by name: anybody can write any name */
function planNamed(claim: Claim, volume: Volume | undefined): ClaimPlan {
  if (!volume) return { kind: 'nothing' }
  if (isReservedFor(volume, claim)) return { kind: 'bind', volume }
  const name = JSON.stringify(volume.metadata.name)
  if (volume.spec?.claimRef) {
    const message = `volume ${name} already bound to a different claim.`
    return { kind: 'wait', type: 'Warning', reason: 'FailedBinding', message }
  }
  const lacking = whatIsLacking(volume, claim)
  if (lacking === undefined) return { kind: 'bind', volume }
  const message = `Cannot bind to requested volume ${name}: ${lacking}`
  return { kind: 'wait', type: 'Warning', reason: 'VolumeMismatch', message }
}

function isBound(volume: Volume, claim: Claim): boolean {
  return (
    volume.spec?.claimRef?.uid === claim.metadata.uid &&
    volume.status?.phase === 'Bound' &&
    claim.status?.phase === 'Bound'
  )
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
  /** Its claim is gone, or has another volume, and it is ours: the directory goes, then the object. */
  | { kind: 'reclaim' }
  /** Its claim has another volume: it is nobody's again; `reserved` keeps it for a claim of this name, as whoever made it had it. */
  | { kind: 'unbind'; reserved: boolean }
  /** Being deleted, and no claim holds it. */
  | { kind: 'release' }

/**
 * What a PersistentVolume needs next. `claim` is the one that its claimRef names, where it still exists. What is in use
 * on a node is not given back: neither the phases of Pods nor that they are gone say that nothing of them runs.
 */
export function planVolume(
  volume: Volume,
  claim: Claim | undefined,
  { inUse }: { inUse: boolean } = { inUse: false },
): VolumePlan {
  const { metadata, spec, status } = volume
  const reference = spec?.claimRef
  const held = claim !== undefined && reference?.uid === claim.metadata.uid
  const elsewhere = held && claim.spec?.volumeName !== undefined && claim.spec.volumeName !== metadata.name
  if (metadata.deletionTimestamp) {
    return (!held || elsewhere) && metadata.finalizers?.includes(VOLUME_PROTECTION)
      ? { kind: 'release' }
      : { kind: 'nothing' }
  }
  // Also while it is reserved by name for a claim that has not come yet.
  if (!reference?.uid)
    return status?.phase === 'Available' ? { kind: 'nothing' } : { kind: 'phase', phase: 'Available' }
  if (held && !elsewhere) return { kind: 'nothing' }
  const isOurs = metadata.annotations?.[PROVISIONED_BY] === PROVISIONER
  if (isOurs && spec?.persistentVolumeReclaimPolicy === 'Delete' && !inUse) return { kind: 'reclaim' }
  if (elsewhere && !inUse)
    return { kind: 'unbind', reserved: metadata.annotations?.[BOUND_BY_CONTROLLER] === undefined }
  return status?.phase === 'Released' ? { kind: 'nothing' } : { kind: 'phase', phase: 'Released' }
}
