import { componentUsers, startApiServer } from '@caisson/apiserver'
import { isNotFound, resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPartWiring } from '../part-wiring.ts'
import { NAMESPACE, startTestServer, type TestServer } from '../testing/test-server.ts'
import { claimsOf, PODS_BY_CLAIM } from './bind.ts'
import { startEphemeralClaims } from './ephemeral-claims.ts'

const stack = new AsyncDisposableStack()
const events: string[] = []
let server: TestServer
beforeAll(async () => {
  server = stack.use(await startTestServer({ startApiServer, componentUsers }))
  const { informers, own: client, signal } = server
  informers.of(resources.pods, { indexers: { [PODS_BY_CLAIM]: claimsOf } })
  informers.of(resources.persistentVolumeClaims)
  await informers.synced(signal)
  const wiring = createPartWiring(
    {
      client,
      informers,
      record: (component, { metadata }, { type, reason, message }) =>
        events.push(`${component} ${type} ${metadata.name} ${reason}: ${message}`),
      onError: () => {},
      signal,
    },
    stack,
  )
  startEphemeralClaims(wiring)
})
afterAll(() => stack.disposeAsync())

const at = { namespace: NAMESPACE }
const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } }
const claimNamed = (name: string) =>
  server.client.get(resources.persistentVolumeClaims, name, at).catch((error: unknown) => {
    if (!isNotFound(error)) throw error
  })

function createPod(name: string) {
  const metadata = { labels: { app: name }, annotations: { note: name } }
  return server.client.create(
    resources.pods,
    {
      metadata: { name },
      spec: {
        containers: [{ name: 'main', image: 'example.com/main' }],
        volumes: [
          { name: 'cache', ephemeral: { volumeClaimTemplate: { metadata, spec } } },
          { name: 'plain', emptyDir: {} },
          { name: 'scratch', ephemeral: { volumeClaimTemplate: { spec } } },
        ],
      },
    },
    at,
  )
}

test('each volume gets a claim of the Pod, as its template says, and another one where that is deleted', async () => {
  const { metadata: pod } = await createPod('web')
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'web', uid: pod.uid, controller: true, blockOwnerDeletion: true }
  await expect.poll(() => claimNamed('web-scratch')).toMatchObject({ spec, metadata: { ownerReferences: [owner] } })
  const first = await claimNamed('web-cache')
  expect(first).toMatchObject({
    spec,
    metadata: { labels: { app: 'web' }, annotations: { note: 'web' }, ownerReferences: [owner] },
  })
  expect(await claimNamed('web-plain')).toBeUndefined()
  await server.client.delete(resources.persistentVolumeClaims, 'web-cache', at)
  // It is protected, and what takes that away where no Pod has it is not there.
  await server.client.patch(resources.persistentVolumeClaims, 'web-cache', { metadata: { finalizers: [] } }, at)
  const uidNow = async () => (await claimNamed('web-cache'))?.metadata.uid
  await expect.poll(async () => [undefined, first?.metadata.uid].includes(await uidNow())).toBe(false)
})

test('a claim of its name that is not the Pod’s is left alone, and the Pod is told', async () => {
  const metadata = { name: 'other-cache' }
  await server.client.create(resources.persistentVolumeClaims, { metadata, spec }, at)
  await createPod('other')
  await expect
    .poll(() => events)
    .toContain(
      'ephemeral_volume Warning other FailedBinding: ephemeral volume cache: PVC default/other-cache was not created for pod default/other (pod is not owner)',
    )
  expect((await claimNamed('other-cache'))?.metadata.ownerReferences).toBeUndefined()
})
