/** Makes the claims of volumes that Pods have for themselves, by `ephemeral.volumeClaimTemplate`. */
import {
  type AnyObject,
  claimNameOf,
  isAlreadyExists,
  joinKey,
  keyOf,
  notMadeFor,
  type PodObject,
  resources,
} from '@caisson/client'
import type { Volume } from 'kubernetes-types/core/v1.d.ts'
import type { PartWiring } from '../part-wiring.ts'
import { isFinished } from '../scheduler/node-loads.ts'
import { PODS_BY_CLAIM } from './bind.ts'

/** The Pod of such a claim is its owner, so that it goes with it; one that is deleted before is made again. */
export function startEphemeralClaims({ client, informers, signal, record, queue, on }: PartWiring): void {
  const pods = informers.of(resources.pods)
  const claims = informers.of(resources.persistentVolumeClaims)
  const owners = queue('making ephemeral volumes of Pod', async (key) => {
    const pod = pods.get(key)
    if (!pod || pod.metadata.deletionTimestamp || isFinished(pod)) return
    for (const volume of pod.spec?.volumes ?? []) {
      try {
        await makeClaim(pod, volume)
      } catch (error) {
        signal.throwIfAborted()
        const message = `ephemeral volume ${volume.name}: ${(error as Error).message}`
        record('ephemeral_volume', pod, { type: 'Warning', reason: 'FailedBinding', message })
        throw error
      }
    }
  })

  async function makeClaim(pod: PodObject, volume: Volume): Promise<void> {
    const { namespace, uid = '' } = pod.metadata
    const template = volume.ephemeral?.volumeClaimTemplate
    const name = claimNameOf(pod, volume)
    if (!template || name === undefined) return
    const found = claims.get(joinKey(namespace, name))
    const foreign = found && notMadeFor(pod, found)
    if (foreign !== undefined) throw new Error(foreign)
    if (found) return
    const { labels, annotations } = template.metadata ?? {}
    const owner = { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name ?? '', uid }
    const metadata = {
      name,
      ...(labels && { labels }),
      ...(annotations && { annotations }),
      ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }],
    }
    await client
      .create(resources.persistentVolumeClaims, { metadata, spec: template.spec }, { namespace, signal })
      .catch((error: unknown) => {
        // The cache has not seen it yet; whose it is shows when it has.
        if (!isAlreadyExists(error)) throw error
      })
  }

  const ofPod = (pod: PodObject): void => {
    if (pod.spec?.volumes?.some(({ ephemeral }) => ephemeral)) owners.add(keyOf(pod))
  }
  const ofClaim = (claim: AnyObject): void => {
    for (const pod of pods.byIndex(PODS_BY_CLAIM, keyOf(claim))) ofPod(pod)
  }
  on(pods, ofPod)
  on(claims, () => {}, ofClaim)
}
