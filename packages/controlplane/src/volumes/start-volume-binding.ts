import { keyOf, resources } from '@caisson/client'
import type { PartWiring } from '../part-wiring.ts'
import {
  CLAIMS_BY_VOLUME,
  claimOf,
  claimsOf,
  pathOf,
  reconcileClaim,
  reconcileVolume,
  VOLUMES_BY_CLAIM,
  type VolumeContext,
  volumeOf,
} from './bind.ts'
import type { Claim, Volume } from './match-volume.ts'

/** What a node has of volumes, whatever the API says of its Pods. */
export interface VolumesInUse {
  /** Whether something there has the directory of a volume, or is about to. */
  has(directory: string): boolean
  /** Called with those that nothing there has any more. */
  onLeft(listener: (directories: readonly string[]) => void): Disposable
}

export interface VolumeProvisioner extends Pick<VolumeContext, 'directory' | 'removeTree'> {
  /** Of the one node, once it knows; no volume is given back before. Of no node unless given. */
  volumesInUse?: Promise<VolumesInUse>
}

/** Has claims bound to volumes, which are made for them where their class says so, and volumes that nobody has any more go. */
export function startVolumeBinding(
  { client, informers, signal, record, queue, on, stack }: PartWiring,
  { volumesInUse, ...provisioner }: VolumeProvisioner,
): void {
  const claims = informers.of(resources.persistentVolumeClaims, { indexers: { [CLAIMS_BY_VOLUME]: volumeOf } })
  const volumes = informers.of(resources.persistentVolumes, { indexers: { [VOLUMES_BY_CLAIM]: claimOf } })
  let isInUse = (_directory: string): boolean => volumesInUse !== undefined
  const context: VolumeContext = {
    client,
    informers,
    ...provisioner,
    isInUse: (directory) => isInUse(directory),
    signal,
    record: (about, event) => record('persistentvolume-controller', about, event),
  }
  const claimQueue = queue('binding claim', (key) => reconcileClaim(key, context))
  const volumeQueue = queue('volume', (key) => reconcileVolume(key, context))

  /** Those that say they are for the claim: it may be gone, or have come to another volume. */
  const volumesOf = (claim: Claim): void => {
    for (const volume of volumes.byIndex(VOLUMES_BY_CLAIM, keyOf(claim))) volumeQueue.add(keyOf(volume))
  }
  const claimsNaming = (volume: string): void => {
    for (const claim of claims.byIndex(CLAIMS_BY_VOLUME, volume)) claimQueue.add(keyOf(claim))
  }
  /** Whom it is for, and whoever names it: these may be waiting for it, or lose it. */
  const claimsOfVolume = (volume: Volume): void => {
    for (const claim of claimOf(volume)) claimQueue.add(claim)
    claimsNaming(volume.metadata.name ?? '')
  }
  const unboundClaims = (): void => claimsNaming('')
  const namedClaims = (pod: Parameters<typeof claimsOf>[0]): void => {
    for (const claim of claimsOf(pod)) claimQueue.add(claim)
  }
  on(informers.of(resources.pods), namedClaims, namedClaims)
  on(
    claims,
    (claim) => {
      claimQueue.add(keyOf(claim))
      volumesOf(claim)
    },
    volumesOf,
  )
  on(
    volumes,
    (volume) => {
      volumeQueue.add(keyOf(volume))
      claimsOfVolume(volume)
      // A volume that nobody has may be what a claim waits for.
      if (!volume.spec?.claimRef) unboundClaims()
    },
    claimsOfVolume,
  )
  on(informers.of(resources.storageClasses), unboundClaims)

  // The stack is somebody else's by the time that the node knows.
  const following = stack.use(new DisposableStack())
  const followNode = (node: VolumesInUse): void => {
    if (following.disposed) return
    isInUse = (directory) => node.has(directory)
    for (const volume of volumes.list()) volumeQueue.add(keyOf(volume))
    following.use(
      node.onLeft((directories) => {
        for (const volume of volumes.list()) if (directories.includes(pathOf(volume))) volumeQueue.add(keyOf(volume))
      }),
    )
  }
  // Whoever waits for the node says why there is none.
  void volumesInUse?.then(followNode, () => {})
}
