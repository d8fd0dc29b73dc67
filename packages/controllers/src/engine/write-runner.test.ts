import { sandboxCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { createInformer } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deletionOf, SANDBOXES } from '../sandbox/objects.ts'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import { installCrd, sandboxNamed, type TestCluster } from '../testing/test-cluster.ts'
import { createWriteRunner } from './write-runner.ts'

const namespace = 'default'
let cluster: TestCluster

beforeAll(async () => {
  cluster = await startEmbeddedCluster(apiserver)
  await installCrd(cluster.client, sandboxCrd())
})
afterAll(async () => cluster[Symbol.asyncDispose]())

test('what is deleted after another object stays while that one is there, also where a cache has not heard of it', async () => {
  const { client } = cluster
  await using informer = createInformer(client, SANDBOXES)
  await informer.synced()
  const make = (name: string) => client.create(SANDBOXES, sandboxNamed(name), { namespace })
  const [first, second] = [await make('first'), await make('second')]
  informer.observeDeletion(first)
  const runner = createWriteRunner({ client, informers: [informer] })
  const context = { signal: AbortSignal.timeout(10_000), quietly: (change: () => void) => change() }
  const after = { resource: SANDBOXES, target: { namespace, name: 'first' }, uid: first.metadata.uid ?? '' }
  const deletion = { ...deletionOf(SANDBOXES, second), after }
  expect(await runner.run(deletion, context)).toEqual({ kind: 'outdated' })
  expect((await client.get(SANDBOXES, 'second', { namespace })).metadata.uid).toBe(second.metadata.uid)
  await client.delete(SANDBOXES, 'first', { namespace })
  await make('first')
  expect(await runner.run(deletion, context)).toEqual({ kind: 'done' })
  await expect(client.get(SANDBOXES, 'second', { namespace })).rejects.toThrow('not found')
})
