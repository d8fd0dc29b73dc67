import { controllerOf, type SandboxSnapshot, SNAPSHOT_ANNOTATION } from '@caisson/api'
import type { PodObject } from '@caisson/client'

/**
 * The Pod whose memory a snapshot is to hold, as a controller has written it into the status. A tenant may be allowed to
 * write a status too, with the uid of a Pod that is not his: only a Pod of the very Sandbox that the snapshot names, in
 * its own namespace, counts.
 */
export function snapshotSource(
  { metadata: { namespace }, spec, status }: SandboxSnapshot,
  pods: readonly PodObject[],
): PodObject | undefined {
  return pods.find(({ metadata }) => {
    const owner = controllerOf({ metadata })
    return (
      metadata.uid === status?.podUID &&
      metadata.namespace === namespace &&
      owner?.kind === 'Sandbox' &&
      owner.name === spec.sandboxName
    )
  })
}

/** The snapshot that a Pod's container begins with, if any. */
export function snapshotNameOf({ metadata }: PodObject): string | undefined {
  return metadata.annotations?.[SNAPSHOT_ANNOTATION]
}
