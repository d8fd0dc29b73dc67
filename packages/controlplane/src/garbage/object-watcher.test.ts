import { componentUsers, startApiServer } from '@caisson/apiserver'
import { type Client, defineResource, type Resource, resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { startTestServer } from '../testing/test-server.ts'
import { watchObjects } from './object-watcher.ts'

const NAME = 'things.example.com'
const AT = { namespace: 'default' }

function things(group: string, version: string): Resource {
  return defineResource({ group, version, plural: 'things', kind: 'Thing', namespaced: true })
}

/** With two versions, of which one is served and stored. */
function definition(group: string, served: 'v1' | 'v2') {
  return {
    group,
    scope: 'Namespaced',
    names: { plural: 'things', kind: 'Thing' },
    versions: ['v1', 'v2'].map((name) => ({
      name,
      served: name === served,
      storage: name === served,
      schema: { openAPIV3Schema: { type: 'object' } },
    })),
  }
}

async function define(client: Client, group: string): Promise<Resource> {
  await client.create(resources.customResourceDefinitions, {
    metadata: { name: `things.${group}` },
    spec: definition(group, 'v1'),
  })
  const resource = things(group, 'v1')
  await expect.poll(() => client.list(resource, AT).then(({ items }) => items)).toEqual([])
  return resource
}

test('objects of a kind are followed when it is served in another version only', async () => {
  await using server = await startTestServer({ startApiServer, componentUsers })
  const { client, own, informers, signal } = server
  const [first, second] = [await define(client, 'example.com'), things('example.com', 'v2')]
  await client.create(first, { metadata: { name: 'old' } }, AT)
  await using watcher = await watchObjects({ client: own, informers, signal, changed() {}, gone() {} })
  await watcher.synced(signal)
  const followed = (name: string) => watcher.get(NAME, 'default', name)?.metadata.name
  expect(followed('old')).toBe('old')

  await client.patch(resources.customResourceDefinitions, NAME, { spec: definition('example.com', 'v2') })
  await expect.poll(() => client.list(second, AT).then(({ items }) => items.length)).toBe(1)
  await client.create(second, { metadata: { name: 'new' } }, AT)
  await expect.poll(() => [followed('old'), followed('new')]).toEqual(['old', 'new'])
  expect(watcher.kinds.get(NAME)?.version).toBe('v2')
})

test('objects of other kinds are followed while one group does not answer, and what was followed of that stays', async () => {
  await using server = await startTestServer({ startApiServer, componentUsers })
  const { client, own, informers, signal } = server
  let silent = false
  const behind: Client = {
    ...own,
    async request(asked) {
      if (silent && asked.path === '/apis/broken.example.com/v1') throw new Error('it does not answer')
      return own.request(asked)
    },
  }
  const quiet = await define(client, 'broken.example.com')
  await client.create(quiet, { metadata: { name: 'one' } }, AT)
  const gone: string[] = []
  await using watcher = await watchObjects({
    client: behind,
    informers,
    signal,
    changed() {},
    gone: (resource) => gone.push(resource),
  })
  await watcher.synced(signal)

  silent = true
  const things = await define(client, 'example.com')
  await client.create(things, { metadata: { name: 'two' } }, AT)
  await expect.poll(() => watcher.get(NAME, 'default', 'two')?.metadata.name).toBe('two')
  expect(watcher.get('things.broken.example.com', 'default', 'one')?.metadata.name).toBe('one')
  expect(gone).toEqual([])
  await expect(watcher.rediscover()).rejects.toThrow('it does not answer')
})
