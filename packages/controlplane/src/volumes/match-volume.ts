/** Which volume a claim may have, as kube-controller-manager asks it (`pv_controller.go`, `storage/volume/pv_helpers.go`). */
import { matchesNodeSelector, parseQuantity, selects } from '@caisson/api'
import type { Typed } from '@caisson/client'
import type { Node, PersistentVolume, PersistentVolumeClaim } from 'kubernetes-types/core/v1.d.ts'

export type Claim = Typed<PersistentVolumeClaim>
export type Volume = Typed<PersistentVolume>
/** What of a node a volume's affinity asks for. */
export type NodeLabels = Pick<Typed<Node>, 'metadata'>

const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class'

/** The class that a claim asks for or a volume has; empty where none is named. */
export function classOf({ metadata, spec }: Claim | Volume): string {
  return metadata.annotations?.[CLASS_ANNOTATION] ?? spec?.storageClassName ?? ''
}

/** Whether the volume says that it is this claim's, or is kept for one of its name. */
export function isReservedFor({ spec }: Volume, { metadata }: Claim): boolean {
  const reference = spec?.claimRef
  if (!reference) return false
  if (reference.namespace !== metadata.namespace || reference.name !== metadata.name) return false
  return !reference.uid || reference.uid === metadata.uid
}

/** In Kubernetes' words, what a volume that the claim asks for by name lacks; undefined where it has all that is asked. */
export function whatIsLacking(volume: Volume, claim: Claim): string | undefined {
  if (volume.metadata.deletionTimestamp)
    return `the volume is marked for deletion ${JSON.stringify(volume.metadata.name)}`
  if (!isLargeEnough(volume, claim)) return 'requested PV is too small'
  if (classOf(volume) !== classOf(claim)) return 'storageClassName does not match'
  if (attributesClassOf(volume) !== attributesClassOf(claim)) return 'volumeAttributesClassName does not match'
  if (modeOf(volume) !== modeOf(claim)) return 'incompatible volumeMode'
  return hasAccessModes(volume, claim) ? undefined : 'incompatible accessMode'
}

/**
 * The volume for a claim that names none: of those with the fewest access modes beyond what is asked one that is reserved
 * for it, otherwise the smallest.
 *
 * @param nodes those whose Pods may use it; undefined takes any volume. With none only what is reserved is taken: a class
 *   that waits for the first consumer leaves the others until there is one
 */
export function findVolume(
  claim: Claim,
  volumes: readonly Volume[],
  nodes: readonly NodeLabels[] | undefined,
): Volume | undefined {
  const candidates = volumes.flatMap((volume) => {
    const reserved = isReservedFor(volume, claim)
    return isSuitable(volume, claim) && (reserved || (isFreeFor(volume, claim) && isReachable(volume, nodes)))
      ? [{ volume, modes: new Set(volume.spec?.accessModes).size, reserved, size: sizeOf(volume.spec?.capacity) }]
      : []
  })
  return candidates.sort((a, b) => a.modes - b.modes || Number(b.reserved) - Number(a.reserved) || a.size - b.size)[0]
    ?.volume
}

/** What is asked of a volume that is reserved for the claim, too. */
function isSuitable(volume: Volume, claim: Claim): boolean {
  return (
    !volume.metadata.deletionTimestamp &&
    isLargeEnough(volume, claim) &&
    modeOf(volume) === modeOf(claim) &&
    attributesClassOf(volume) === attributesClassOf(claim) &&
    hasAccessModes(volume, claim)
  )
}

function isFreeFor(volume: Volume, claim: Claim): boolean {
  const { metadata, spec, status } = volume
  const selector = claim.spec?.selector
  return (
    spec?.claimRef === undefined &&
    status?.phase === 'Available' &&
    classOf(volume) === classOf(claim) &&
    (!selector || selects(selector, metadata.labels))
  )
}

function isReachable({ spec }: Volume, nodes: readonly NodeLabels[] | undefined): boolean {
  if (!nodes) return true
  const required = spec?.nodeAffinity?.required
  const affinity = required && { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } }
  return nodes.some(({ metadata }) => matchesNodeSelector({ ...(affinity && { affinity }) }, metadata))
}

function isLargeEnough(volume: Volume, claim: Claim): boolean {
  return sizeOf(volume.spec?.capacity) >= sizeOf(claim.spec?.resources?.requests)
}

/** Bytes of storage; 0 where none is stated. */
function sizeOf(list: Record<string, string> | undefined): number {
  return parseQuantity(list?.['storage'] ?? '0') ?? Number.NaN
}

function modeOf({ spec }: Claim | Volume): string {
  return spec?.volumeMode ?? 'Filesystem'
}

function attributesClassOf({ spec }: Claim | Volume): string {
  return spec?.volumeAttributesClassName ?? ''
}

function hasAccessModes(volume: Volume, claim: Claim): boolean {
  return (claim.spec?.accessModes ?? []).every((mode) => volume.spec?.accessModes?.includes(mode))
}
