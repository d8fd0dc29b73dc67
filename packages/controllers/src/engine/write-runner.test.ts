import { sandboxCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { ApiError, createClient, createInformer } from '@caisson/client'
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

test.each([
  'etcdserver: request is too large',
  'rpc error: code = ResourceExhausted desc = trying to send message larger than max (2100000 vs. 2097152)',
])(
  'what a kube-apiserver calls an internal error is refused for good where an object is too large: %s',
  async (message) => {
    const { client } = cluster
    const said = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 } as const
    const request = () => Promise.reject(new ApiError({ ...said, reason: 'InternalError' }))
    const runner = createWriteRunner({ client: createClient({ ...client.transport, request }), informers: [] })
    const context = { signal: AbortSignal.timeout(10_000), quietly: (change: () => void) => change() }
    const object = { ...sandboxNamed('large'), metadata: { name: 'large', namespace } }
    const write = { verb: 'create' as const, id: 'create', resource: SANDBOXES, object }
    const failure = { id: 'create', message, permanent: true, namespaceTerminating: false }
    expect(await runner.run(write, context)).toEqual({ kind: 'failed', failure })
  },
)
