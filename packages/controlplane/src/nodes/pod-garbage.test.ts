import { componentUsers, startApiServer } from '@caisson/apiserver'
import { type Client, resources } from '@caisson/client'
import { expect, test, vi } from 'vitest'
import { NAMESPACE, startTestServer } from '../testing/test-server.ts'
import { createPodGarbage } from './pod-garbage.ts'

const QUARANTINE = 40_000

function createPod(client: Client, name: string, nodeName: string): Promise<unknown> {
  const spec = { nodeName, containers: [{ name: 'main', image: 'x' }] }
  return client.create(resources.pods, { metadata: { name }, spec }, { namespace: NAMESPACE })
}

test('since when a node is missing is known as long as there are Pods of it, and no longer', async () => {
  await using server = await startTestServer({ startApiServer, componentUsers })
  const { client, own, informers, signal } = server
  const pods = informers.of(resources.pods)
  informers.of(resources.nodes)
  await informers.synced(signal)
  let clock = 0
  const garbage = createPodGarbage({ client: own, informers, now: Date.now, monotonic: () => clock, signal })
  using _handler = pods.handle({ deleted: garbage.podGone })
  const make = async (name: string, node: string): Promise<void> => {
    await createPod(client, name, node)
    await vi.waitFor(() => expect(pods.get(`${NAMESPACE}/${name}`)).toBeDefined())
  }
  const look = (name: string) => garbage.reconcile(`${NAMESPACE}/${name}`)
  const gone = (name: string) => vi.waitFor(() => expect(pods.get(`${NAMESPACE}/${name}`)).toBeUndefined())
  await make('first', 'bogus')
  await make('second', 'bogus')
  expect(await look('first')).toEqual({ requeueAfter: QUARANTINE })
  clock += QUARANTINE
  expect(await look('first')).toEqual({})
  await gone('first')
  // The node is missing for as long as the other one's Pod waits.
  expect(await look('second')).toEqual({})
  await gone('second')
  await make('third', 'bogus')
  expect(await look('third')).toEqual({ requeueAfter: QUARANTINE })
})
