import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { componentUsers, startApiServer } from '@caisson/apiserver'
import {
  type Client,
  createClient,
  createInformers,
  createWorkqueue,
  inProcessTransport,
  resources,
  type Workqueue,
} from '@caisson/client'
import { expect, test } from 'vitest'
import { NAMESPACE, startTestServer } from '../testing/test-server.ts'
import { collect } from './collect.ts'
import { watchObjects } from './object-watcher.ts'
import { createOwnershipGraph } from './ownership-graph.ts'

test('what is given another owner while its owner is looked up stays', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'collect-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(directory, { recursive: true }))
  const state = { directory: join(directory, 'state'), certificates: join(directory, 'pki') }
  const { server } = stack.use(await startApiServer({ ...state, host: '127.0.0.1', port: 0 }))
  const stop = new AbortController()
  stack.defer(() => stop.abort())
  const { signal } = stop
  const transport = inProcessTransport(server.connect(componentUsers.controlPlane))
  const administrator = createClient(
    inProcessTransport(server.connect({ username: 'admin', groups: ['system:masters', 'system:authenticated'] })),
  )
  const configMap = (name: string, ...owners: { name: string; uid: string }[]) =>
    administrator.create(
      resources.configMaps,
      {
        metadata: { name, ownerReferences: owners.map((owner) => ({ apiVersion: 'v1', kind: 'ConfigMap', ...owner })) },
      },
      { namespace: NAMESPACE },
    )
  const heir = (await configMap('heir')).metadata
  const child = await configMap('child', { name: 'owner', uid: 'gone' })

  /** As slow as it may be: the child has changed hands before the answer about its owner is there. */
  const client = createClient({
    ...transport,
    async request(asked) {
      const answer = await transport.request(asked)
      if (asked.path.endsWith('/configmaps/owner')) {
        const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'heir', uid: heir.uid ?? '' }]
        await administrator.patch(
          resources.configMaps,
          'child',
          { metadata: { ownerReferences } },
          { namespace: NAMESPACE },
        )
      }
      return answer
    },
  })
  const informers = stack.use(createInformers(createClient(transport)))
  const graph = createOwnershipGraph(() => 'Namespaced')
  const watcher = stack.use(
    await watchObjects({
      client,
      informers,
      signal,
      changed: (resource, object) => void graph.observe(resource, object),
      gone: (_resource, object) => void graph.forget(object.metadata.uid ?? ''),
    }),
  )
  await watcher.synced(signal)
  await collect(child.metadata.uid ?? '', { client, watcher, graph, signal })
  const left = await administrator.get(resources.configMaps, 'child', { namespace: NAMESPACE })
  expect(left.metadata.ownerReferences?.map(({ name }) => name)).toEqual(['heir'])
})

test('an owner that has not been seen yet is no owner that is gone', async () => {
  await using server = await startTestServer({ startApiServer, componentUsers })
  const { client, own, informers, signal } = server
  const at = { namespace: NAMESPACE }
  const make = async (name: string, owners: readonly object[] = [], finalizers: string[] = []) => {
    const { metadata } = await client.create(
      resources.configMaps,
      { metadata: { name, finalizers, ownerReferences: owners as never } },
      at,
    )
    return { apiVersion: 'v1', kind: 'ConfigMap', name, uid: metadata.uid ?? '' }
  }
  const [seen, unseen] = [await make('seen'), await make('unseen')]
  const gone = { ...seen, name: 'gone', uid: 'gone' }
  const shared = await make('shared', [seen, unseen, gone])
  const held = await make('held', [unseen], ['foregroundDeletion'])
  const graph = createOwnershipGraph(() => 'Namespaced')
  await using watcher = await watchObjects({
    client: own,
    informers,
    signal,
    changed(resource, object) {
      if (object.metadata.uid !== unseen.uid) graph.observe(resource, object)
    },
    gone() {},
  })
  await watcher.synced(signal)
  for (const { uid } of [shared, held]) await collect(uid, { client: own, watcher, graph, signal })
  const left = (await client.list(resources.configMaps, at)).items.map(({ metadata }) => metadata)
  expect(left.find(({ name }) => name === 'shared')?.ownerReferences?.map(({ name }) => name)).toEqual([
    'seen',
    'unseen',
  ])
  expect(left.find(({ name }) => name === 'held')?.deletionTimestamp).toBe(undefined)
})

test('objects that wait for each other in a circle go', async () => {
  await using server = await startTestServer({ startApiServer, componentUsers })
  const { client, own, informers, signal } = server
  const at = { namespace: NAMESPACE }
  const make = (name: string): Promise<{ metadata: { uid?: string } }> =>
    client.create(resources.configMaps, { metadata: { name } }, at)
  const uids = Object.fromEntries(
    await Promise.all(['a', 'b', 'c'].map(async (name) => [name, (await make(name)).metadata.uid ?? ''] as const)),
  )
  for (const [name, owner] of [
    ['a', 'c'],
    ['b', 'a'],
    ['c', 'b'],
  ] as const) {
    const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: owner, uid: uids[owner], blockOwnerDeletion: true }
    await client.patch(resources.configMaps, name, { metadata: { ownerReferences: [reference] } }, at)
  }
  const graph = createOwnershipGraph(() => 'Namespaced')
  // Nothing is decided before all has been seen.
  const early: string[] = []
  let queue: Workqueue | undefined
  const decideAgain = (again: readonly string[]): void => {
    if (!queue) early.push(...again)
    else for (const uid of again) queue.add(uid)
  }
  const errors: unknown[] = []
  await using stack = new AsyncDisposableStack()
  const watcher = stack.use(
    await watchObjects({
      client: own,
      informers,
      signal,
      changed: (resource, object) => decideAgain(graph.observe(resource, object)),
      gone: (_resource, object) => decideAgain(graph.forget(object.metadata.uid ?? '')),
    }),
  )
  await watcher.synced(signal)
  queue = stack.use(
    createWorkqueue({
      process: (uid) => collect(uid, { client: own, watcher, graph, signal }),
      concurrency: 4,
      onError: (error) => errors.push(error),
    }),
  )
  decideAgain(early)
  await client.delete(resources.configMaps, 'a', { ...at, propagationPolicy: 'Foreground' })
  const names = async (): Promise<string[]> =>
    (await client.list(resources.configMaps, at)).items.map(({ metadata }) => metadata.name ?? '')
  await expect.poll(names).toEqual([])
  expect(errors).toEqual([])
})

test('of owners that are not known some are asked for at a time', async () => {
  await using server = await startTestServer({ startApiServer, componentUsers })
  const { client, own, informers, signal } = server
  const owner = (index: number) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    name: `gone-${index}`,
    uid: `gone-${index}`,
  })
  const ownerReferences = Array.from({ length: 300 }, (_, index) => owner(index))
  const { metadata } = await client.create(
    resources.configMaps,
    { metadata: { name: 'child', ownerReferences } },
    { namespace: NAMESPACE },
  )
  const graph = createOwnershipGraph(() => 'Namespaced')
  await using watcher = await watchObjects({
    client: own,
    informers,
    signal,
    changed: (resource, object) => void graph.observe(resource, object),
    gone() {},
  })
  await watcher.synced(signal)
  let [open, most, asked] = [0, 0, 0]
  const counted: Client = {
    ...own,
    async get(...of) {
      asked++
      most = Math.max(most, ++open)
      return await own.get(...of).finally(() => open--)
    },
  }
  await collect(metadata.uid ?? '', { client: counted, watcher, graph, signal })
  expect([asked, most]).toEqual([300, 50])
})
