/** Variables that a container is given while it is there: by the claim that took its Sandbox out of a pool. */
import { WARM_ENV_DIRECTORY } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { PodSources } from '../pod-sources.ts'
import { findContainer, specOf } from '../pods/observed-pod.ts'

/**
 * What is in the Secret that the container has at `/run/caisson/env`, for whatever is started in it from now on;
 * undefined where it has none there. The Pod has the same as files: whoever makes one that mounts a Secret there gets at
 * nothing by it that it was not given.
 */
export async function claimedEnvironment(
  pod: PodObject,
  container: string,
  sources: Pick<PodSources, 'secret'>,
): Promise<Record<string, string> | undefined> {
  const mount = findContainer(pod, container)?.volumeMounts?.find(({ mountPath }) => mountPath === WARM_ENV_DIRECTORY)
  const secret = mount && specOf(pod).volumes?.find(({ name }) => name === mount.name)?.secret
  if (!mount || mount.subPath || mount.subPathExpr || !secret?.secretName || secret.items?.length) return undefined
  const object = await sources.secret(pod.metadata.namespace ?? '', secret.secretName)
  if (!object) return undefined
  const variables = Object.entries(object.data ?? {}).map(([name, value]) => [
    name,
    Buffer.from(value, 'base64').toString(),
  ])
  // No environment can hold it: whoever starts something sees it missing, and not its process failing.
  return Object.fromEntries(variables.filter(([, value]) => !value?.includes('\0')))
}
