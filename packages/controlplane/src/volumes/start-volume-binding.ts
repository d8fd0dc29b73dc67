import { keyOf, resources } from '@caisson/client'
import type { PartWiring } from '../part-wiring.ts'
import { claimsOf, reconcileClaim, reconcileVolume, type VolumeContext } from './bind.ts'
import type { Claim, Volume } from './plan-claim.ts'

/** Has claims bound to volumes, which are made for them where their class says so, and volumes that nobody has any more go. */
export function startVolumeBinding(
  { client, informers, signal, record, queue, on }: PartWiring,
  provisioner: Pick<VolumeContext, 'directory' | 'removeTree'>,
): void {
  const claims = informers.of(resources.persistentVolumeClaims)
  const context: VolumeContext = {
    client,
    informers,
    ...provisioner,
    signal,
    record: (about, event) => record('persistentvolume-controller', about, event),
  }
  const claimQueue = queue('binding claim', (key) => reconcileClaim(key, context))
  const volumeQueue = queue('volume', (key) => reconcileVolume(key, context))

  const claimOf = ({ spec }: Volume): void => {
    const reference = spec?.claimRef
    if (reference?.name) claimQueue.add(`${reference.namespace}/${reference.name}`)
  }
  const volumeOf = ({ spec }: Claim): void => {
    if (spec?.volumeName) volumeQueue.add(spec.volumeName)
  }
  const unboundClaims = (): void => {
    for (const claim of claims.list()) if (!claim.spec?.volumeName) claimQueue.add(keyOf(claim))
  }
  const namedClaims = (pod: Parameters<typeof claimsOf>[0]): void => {
    for (const claim of claimsOf(pod)) claimQueue.add(claim)
  }
  on(informers.of(resources.pods), namedClaims, namedClaims)
  on(claims, (claim) => claimQueue.add(keyOf(claim)), volumeOf)
  on(
    informers.of(resources.persistentVolumes),
    (volume) => {
      volumeQueue.add(keyOf(volume))
      claimOf(volume)
      // A volume that nobody has may be what a claim waits for.
      if (!volume.spec?.claimRef) unboundClaims()
    },
    claimOf,
  )
  on(informers.of(resources.storageClasses), unboundClaims)
}
