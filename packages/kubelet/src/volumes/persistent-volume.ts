import { join } from 'node:path'
import { IMAGE_FILE_ANNOTATION } from '@caisson/api'
import { notMadeFor, type PodObject } from '@caisson/client'
import type { PodSources } from '../pod-sources.ts'
import { checkHostPath } from './host-path.ts'
import { VolumeError } from './volume-error.ts'

export interface ClaimedVolume {
  path: string
  readOnly: boolean
  takesGroup: boolean
  /** The file with the file system that the volume is; it has to be mounted. */
  imageFile: string | undefined
}

/**
 * Where the volume that a claim is bound to is on this machine. Throws a VolumeError while it is not bound, or where the
 * volume is of a kind that this node cannot reach. `ownedByPod`: it has to be the Pod's own, in Kubernetes' words, since
 * anybody in its namespace may have made one of its name.
 */
export async function persistentVolumePath(
  pod: PodObject,
  claimName: string,
  { sources, ownedByPod }: { sources: Pick<PodSources, 'volumeClaim' | 'volume'>; ownedByPod: boolean },
): Promise<ClaimedVolume> {
  const namespace = pod.metadata.namespace ?? ''
  const failed = (why: string) => new VolumeError(`error processing PVC ${namespace}/${claimName}: ${why}`)
  const claim = await sources.volumeClaim(namespace, claimName)
  if (!claim) throw failed(`persistentvolumeclaim ${JSON.stringify(claimName)} not found`)
  const foreign = ownedByPod ? notMadeFor(pod, claim) : undefined
  if (foreign !== undefined) throw new VolumeError(foreign)
  if (claim.metadata.deletionTimestamp) throw failed('PVC is being deleted')
  const volumeName = claim.spec?.volumeName
  if (claim.status?.phase !== 'Bound' || !volumeName) throw failed('PVC is not bound')
  const volume = await sources.volume(volumeName)
  if (!volume) throw failed(`persistentvolume ${JSON.stringify(volumeName)} not found`)
  // A claim can name any volume: only the volume says whose it is.
  if (volume.spec?.claimRef?.uid !== claim.metadata.uid) {
    throw failed(`persistentvolume ${JSON.stringify(volumeName)} is not bound to this claim`)
  }
  if (volume.spec?.hostPath) await checkHostPath(volume.spec.hostPath)
  const path = volume.spec?.local?.path ?? volume.spec?.hostPath?.path
  if (path === undefined) throw failed('the volume is neither local nor a hostPath: this node has no driver for it')
  const imageFile = volume.metadata.annotations?.[IMAGE_FILE_ANNOTATION]
  const modes = volume.spec?.accessModes ?? []
  return {
    path,
    readOnly: modes.length > 0 && modes.every((mode) => mode === 'ReadOnlyMany'),
    takesGroup: volume.spec?.local !== undefined || imageFile !== undefined,
    imageFile: imageFile === undefined ? undefined : join(path, imageFile),
  }
}
