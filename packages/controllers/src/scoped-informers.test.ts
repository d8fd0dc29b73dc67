/** Informers that follow a part of a cluster: some namespaces, or those that a shard wants. */
import { componentUsers, startApiServer } from '@caisson/apiserver'
import { createInformers, type InformersScope, resources } from '@caisson/client'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startEmbeddedCluster } from './testing/embedded-cluster.ts'
import type { TestCluster } from './testing/test-cluster.ts'

let cluster: TestCluster

beforeAll(async () => {
  cluster = await startEmbeddedCluster({ startApiServer, componentUsers })
  for (const name of ['a', 'b', 'c']) await cluster.client.create(resources.namespaces, { metadata: { name } })
})

afterAll(() => cluster?.[Symbol.asyncDispose]())

function follow(scope: InformersScope) {
  const informers = createInformers(cluster.client, scope)
  onTestFinished(() => informers[Symbol.asyncDispose]())
  return informers.of(resources.secrets, { indexers: { byType: ({ type }) => [type ?? ''] } })
}

const make = (namespace: string, name: string) =>
  cluster.client.create(resources.secrets, { metadata: { name }, type: 'example.com/test' }, { namespace })

test.each([
  ['in namespaces of their own', { namespaces: ['a', 'b'] }],
  ['of those that are wanted', { wantsNamespace: (name: string) => name !== 'c' }],
])('%s know, index and tell of these alone', async (_, scope) => {
  for (const namespace of ['a', 'b', 'c']) await make(namespace, 'before')
  const informer = follow(scope)
  await informer.synced()
  const told: string[] = []
  const say = (sign: string) => (object: { metadata: { namespace?: string; name?: string } }) =>
    told.push(`${sign}${object.metadata.namespace}/${object.metadata.name}`)
  informer.handle({ added: say('+'), deleted: say('-') })
  const known = () => informer.byIndex('byType', 'example.com/test').map(({ metadata }) => metadata.namespace ?? '')
  expect(known().sort()).toEqual(['a', 'b'])
  expect(informer.size).toBe(2)
  expect([informer.get('a/before')?.metadata.namespace, informer.get('c/before')]).toEqual(['a', undefined])

  // What was written elsewhere is not taken in either.
  informer.observe(await make('c', 'after'))
  informer.observe(await make('b', 'after'))
  for (const namespace of ['c', 'a']) await cluster.client.delete(resources.secrets, 'before', { namespace })
  await expect.poll(() => told.toSorted()).toEqual(['+a/before', '+b/after', '+b/before', '-a/before'])
  expect(informer.health).toMatchObject({ synced: true, connected: true, lastError: undefined })
  for (const [namespace, name] of [
    ['b', 'before'],
    ['b', 'after'],
    ['c', 'after'],
  ] as const)
    await cluster.client.delete(resources.secrets, name, { namespace })
})

test('objects without a namespace are of every part', async () => {
  const informers = createInformers(cluster.client, { namespaces: ['a'], wantsNamespace: () => false })
  onTestFinished(() => informers[Symbol.asyncDispose]())
  const namespaces = informers.of(resources.namespaces)
  await namespaces.synced()
  expect(['a', 'b', 'c'].map((name) => namespaces.get(name)?.metadata.name)).toEqual(['a', 'b', 'c'])
})
