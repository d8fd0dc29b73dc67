/** Carries out what the plans for claims and volumes say. */
import { chmod, mkdir, rename } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { IMAGE_FILE_ANNOTATION, parseQuantity } from '@caisson/api'
import {
  type Client,
  claimNameOf,
  type Informers,
  isAlreadyExists,
  isConflict,
  isNotFound,
  joinKey,
  type PodObject,
  resources,
} from '@caisson/client'
import { isFinished } from '../scheduler/node-loads.ts'
import { makeImageFile } from './image-file.ts'
import { type Claim, isReservedFor, type Volume } from './match-volume.ts'
import { BOUND_BY_CONTROLLER, CLAIM_PROTECTION, planClaim, planVolume, VOLUME_PROTECTION } from './plan-claim.ts'

export const PODS_BY_CLAIM = 'claims'
export const VOLUMES_BY_CLAIM = 'claim'
export const CLAIMS_BY_VOLUME = 'volume'
const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed'

export interface VolumeContext {
  client: Client
  informers: Informers
  /** Below it each provisioned volume has its directory. */
  directory: string
  /** Removes a directory with all that containers put there, whatever its depth. */
  removeTree(directory: string): Promise<void>
  /** Whether something on a node has the directory of a volume. */
  isInUse(directory: string): boolean
  record(claim: Claim, event: { type: 'Normal' | 'Warning'; reason: string; message: string }): void
  signal: AbortSignal
}

/** The keys of the claims that a Pod names, for the informer's index. */
export function claimsOf(pod: PodObject): string[] {
  return (pod.spec?.volumes ?? []).flatMap((volume) => {
    const name = claimNameOf(pod, volume)
    return name === undefined ? [] : [joinKey(pod.metadata.namespace, name)]
  })
}

/** The key of the claim that a volume says it is for, for the informer's index. */
export function claimOf({ spec }: Volume): string[] {
  const reference = spec?.claimRef
  return reference?.name ? [joinKey(reference.namespace, reference.name)] : []
}

/** What volume a claim names, for the informer's index; empty where it names none. */
export function volumeOf({ spec }: Claim): string[] {
  return [spec?.volumeName ?? '']
}

/** One pass over one claim. */
export async function reconcileClaim(key: string, context: VolumeContext): Promise<void> {
  const { client, informers, record, signal } = context
  const claims = informers.of(resources.persistentVolumeClaims)
  const volumes = informers.of(resources.persistentVolumes)
  const claim = claims.get(key)
  if (!claim) return
  const pods = informers
    .of(resources.pods)
    .byIndex(PODS_BY_CLAIM, key)
    .filter((pod) => !isFinished(pod))
  const plan = planClaim(
    {
      claim,
      volumes: volumes.list(),
      classes: informers.of(resources.storageClasses).list(),
      pods,
      nodes: informers.of(resources.nodes).list(),
    },
    (name) => directoryOf(name, context),
  )
  const name = claim.metadata.name ?? ''
  const here = { namespace: claim.metadata.namespace, signal }
  switch (plan.kind) {
    case 'nothing':
      return
    case 'release': {
      const finalizers = (claim.metadata.finalizers ?? []).filter((finalizer) => finalizer !== CLAIM_PROTECTION)
      return unlessGone(
        client.patch(resources.persistentVolumeClaims, name, { metadata: { ...guard(claim), finalizers } }, here),
      )
    }
    case 'lost':
      claims.observe(
        await client.patchStatus(resources.persistentVolumeClaims, name, { status: { phase: 'Lost' } }, here),
      )
      return record(claim, { type: 'Warning', reason: plan.reason, message: plan.message })
    case 'wait':
      return record(claim, plan)
    case 'provision': {
      try {
        await makeDirectory(plan.volume)
      } catch (error) {
        // Said, and tried again.
        record(claim, { type: 'Warning', reason: 'ProvisioningFailed', message: (error as Error).message })
        throw error
      }
      try {
        volumes.observe(await client.create(resources.persistentVolumes, plan.volume, { signal }))
      } catch (error) {
        if (!isAlreadyExists(error)) throw error
      }
      record(claim, {
        type: 'Normal',
        reason: 'ProvisioningSucceeded',
        message: `Successfully provisioned volume ${plan.volume.metadata.name}`,
      })
      const made = volumes.get(plan.volume.metadata.name ?? '')
      return made ? bind(claim, made, context) : undefined
    }
    case 'bind':
      return bind(claim, plan.volume, context)
  }
}

/** What a volume that is provisioned has its files in. */
async function makeDirectory({ metadata, spec }: Volume): Promise<void> {
  const path = spec?.hostPath?.path ?? ''
  try {
    await mkdir(path, { recursive: true })
    // Whoever runs in the Pod may write to it; nobody else reaches it, below a directory that is private to its owner.
    await chmod(path, 0o777)
  } catch (cause) {
    // Where it is on this machine is not for whoever has the claim.
    throw new Error(`the directory of the volume could not be made (${(cause as NodeJS.ErrnoException).code})`, {
      cause,
    })
  }
  const imageFile = metadata.annotations?.[IMAGE_FILE_ANNOTATION]
  if (imageFile !== undefined)
    await makeImageFile(join(path, imageFile), parseQuantity(spec?.capacity?.['storage'] ?? '') ?? 0)
}

/** First the volume says whose it is, then the claim: a crash between the two is finished by the next pass. */
async function bind(claim: Claim, volume: Volume, { client, informers, signal }: VolumeContext): Promise<void> {
  const volumes = informers.of(resources.persistentVolumes)
  const claims = informers.of(resources.persistentVolumeClaims)
  const volumeName = volume.metadata.name ?? ''
  const name = claim.metadata.name ?? ''
  const namespace = claim.metadata.namespace ?? ''
  const here = { namespace, signal }
  try {
    if (volume.spec?.claimRef?.uid !== claim.metadata.uid) {
      const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid: claim.metadata.uid }
      const annotations = isReservedFor(volume, claim) ? {} : { [BOUND_BY_CONTROLLER]: 'yes' }
      volumes.observe(
        await client.patch(
          resources.persistentVolumes,
          volumeName,
          { metadata: { ...guard(volume), annotations }, spec: { claimRef } },
          { signal },
        ),
      )
    }
    if (volume.status?.phase !== 'Bound') {
      volumes.observe(
        await client.patchStatus(resources.persistentVolumes, volumeName, { status: { phase: 'Bound' } }, { signal }),
      )
    }
    const found = claim.spec?.volumeName !== volumeName
    if (found || claim.metadata.annotations?.[BIND_COMPLETED] === undefined) {
      const annotations = { [BIND_COMPLETED]: 'yes', ...(found && { [BOUND_BY_CONTROLLER]: 'yes' }) }
      claims.observe(
        await client.patch(
          resources.persistentVolumeClaims,
          name,
          { metadata: { ...guard(claim), annotations }, spec: { volumeName } },
          here,
        ),
      )
    }
    const status = {
      phase: 'Bound',
      accessModes: volume.spec?.accessModes ?? [],
      capacity: volume.spec?.capacity ?? {},
    }
    claims.observe(await client.patchStatus(resources.persistentVolumeClaims, name, { status }, here))
  } catch (error) {
    // Another write came between: its event brings the claim back here.
    if (!isConflict(error) && !isNotFound(error)) throw error
  }
}

/** One pass over one volume. */
export async function reconcileVolume(key: string, context: VolumeContext): Promise<void> {
  const { client, informers, signal } = context
  const volumes = informers.of(resources.persistentVolumes)
  const volume = volumes.get(key)
  if (!volume) return
  const [claimed] = claimOf(volume)
  const claim = claimed === undefined ? undefined : informers.of(resources.persistentVolumeClaims).get(claimed)
  const plan = planVolume(volume, claim, { inUse: context.isInUse(pathOf(volume)) })
  switch (plan.kind) {
    case 'nothing':
      return
    case 'phase':
      return unlessGone(
        client.patchStatus(resources.persistentVolumes, key, { status: { phase: plan.phase } }, { signal }),
      )
    case 'release': {
      const finalizers = (volume.metadata.finalizers ?? []).filter((finalizer) => finalizer !== VOLUME_PROTECTION)
      return unlessGone(
        client.patch(resources.persistentVolumes, key, { metadata: { ...guard(volume), finalizers } }, { signal }),
      )
    }
    case 'unbind': {
      const patch = plan.reserved
        ? { metadata: guard(volume), spec: { claimRef: { uid: null } } }
        : { metadata: { ...guard(volume), annotations: { [BOUND_BY_CONTROLLER]: null } }, spec: { claimRef: null } }
      return unlessGone(client.patch(resources.persistentVolumes, key, patch, { signal }))
    }
    case 'reclaim':
      await removeDirectory(key, volume, context)
      return unlessGone(
        client.delete(resources.persistentVolumes, key, { preconditions: { uid: volume.metadata.uid ?? '' }, signal }),
      )
  }
}

/** On a node; empty where the volume is of another kind. */
export function pathOf({ spec }: Volume): string {
  return spec?.local?.path ?? spec?.hostPath?.path ?? ''
}

function directoryOf(volume: string, { directory }: VolumeContext): string {
  return join(directory, volume)
}

/** Only a directory that this provisioner would have made for this very volume is ever removed. */
async function removeDirectory(name: string, volume: Volume, context: VolumeContext): Promise<void> {
  const path = directoryOf(name, context)
  if (volume.spec?.hostPath?.path !== path || name.includes(sep) || name === '..' || name === '.') return
  // Out of sight at once, so that nobody finds half of it; what a crash leaves is removed by the volume's next pass.
  const away = join(context.directory, `.removed-${name}`)
  await rename(path, away).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  await context.removeTree(away)
}

function guard(object: Claim | Volume): { uid: string; resourceVersion: string } {
  return { uid: object.metadata.uid ?? '', resourceVersion: object.metadata.resourceVersion ?? '' }
}

async function unlessGone(write: Promise<unknown>): Promise<void> {
  try {
    await write
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
  }
}
