import type { PodObject } from '@caisson/client'
import { expect, test } from 'vitest'
import type { VolumeClaimObject, VolumeObject } from '../pod-sources.ts'
import { persistentVolumePath } from './persistent-volume.ts'

const pod: PodObject = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'n', name: 'pod', uid: 'pod-uid' } }
const owner = { apiVersion: 'v1', kind: 'Pod', name: 'pod', uid: 'pod-uid', controller: true }
const volume: VolumeObject = {
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name: 'v' },
  spec: { claimRef: { uid: 'claim-uid' }, local: { path: '/there' } },
}

/** Of a Pod that has an ephemeral volume `scratch`, whose claim is owned so. */
async function pathOf(ownerReferences: object[]): Promise<string> {
  const claim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { namespace: 'n', name: 'pod-scratch', uid: 'claim-uid', ownerReferences },
    spec: { volumeName: 'v' },
    status: { phase: 'Bound' },
  } as VolumeClaimObject
  const sources = { volumeClaim: async () => claim, volume: async () => volume }
  return (await persistentVolumePath(pod, 'pod-scratch', { sources, ownedByPod: true })).path
}

test('an ephemeral volume is of the claim that was made for the Pod', async () => {
  expect(await pathOf([owner])).toBe('/there')
})

test.each<[title: string, ownerReferences: object[]]>([
  ['nobody’s', []],
  ['another Pod’s', [{ ...owner, uid: 'other' }]],
  ['owned by the Pod, and controlled by nobody', [{ ...owner, controller: false }]],
])('an ephemeral volume is of no claim that has its name and is %s', async (_title, ownerReferences) => {
  await expect(pathOf(ownerReferences)).rejects.toThrow(
    /^PVC n\/pod-scratch was not created for pod n\/pod \(pod is not owner\)$/,
  )
})
