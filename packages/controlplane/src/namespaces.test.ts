import { componentUsers, startApiServer } from '@caisson/apiserver'
import { type AnyObject, defineResource, resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { watchObjects } from './garbage/object-watcher.ts'
import { createOwnershipGraph } from './garbage/ownership-graph.ts'
import { reconcileNamespace } from './namespaces.ts'
import { startTestServer } from './testing/test-server.ts'

const things = defineResource<AnyObject>({
  group: 'example.com',
  version: 'v1',
  plural: 'things',
  kind: 'Thing',
  namespaced: true,
})

test('nothing is left of a namespace for the next one of its name, also what no watch has told of yet', async () => {
  await using server = await startTestServer({ startApiServer, componentUsers })
  const { client, own, informers, signal } = server
  const graph = createOwnershipGraph(() => 'Namespaced')
  await using watcher = await watchObjects({ client: own, informers, signal, changed() {}, gone() {} })
  await watcher.synced(signal)
  const [namespace, at] = ['team', { namespace: 'team' }]
  const create = () => client.create(resources.namespaces, { metadata: { name: namespace } })
  await create()
  await client.create(resources.configMaps, { metadata: { name: 'secret-plan' } }, at)
  await client.create(resources.customResourceDefinitions, {
    metadata: { name: 'things.example.com' },
    spec: {
      group: things.group,
      scope: 'Namespaced',
      names: { plural: things.plural, kind: things.kind },
      versions: [
        { name: things.version, served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
      ],
    },
  })
  await expect.poll(() => client.list(things, at).then(({ items }) => items)).toEqual([])
  await client.create(things, { metadata: { name: 'secret-thing' } }, at)
  await client.delete(resources.namespaces, namespace)

  const marked = await client.get(resources.namespaces, namespace)
  const reconcile = () => reconcileNamespace(marked, { client: own, watcher, graph, now: Date.now, signal })
  expect(await reconcile()).toEqual({ retry: true })
  expect(await reconcile()).toEqual({})
  await create()
  expect((await client.list(resources.configMaps, at)).items).toEqual([])
  expect((await client.list(things, at)).items).toEqual([])
})
