/** Which sandboxes go when a connection to their client fails, on a real API server. */
import { mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { type Sandbox, sandboxCrd } from '@caisson/api'
import { type Client, createClient, createInformers, defineResource, resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { attend, removedWhenEnded, watchAttendance } from './attendance.ts'
import { type DataDirectory, dataDirectory } from './cluster/data-directory.ts'
import { sandboxes } from './sandboxes.ts'
import { ADMINISTRATOR, startTestServer } from './testing/api-server.ts'

const TOKEN = '00000000-0000-4000-8000-000000000000'
const crds = defineResource<ReturnType<typeof sandboxCrd> & { metadata: object }>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
})

interface Watching extends AsyncDisposable {
  directory: DataDirectory
  client: Client
  errors: string[]
  create(name: string, annotations: Record<string, string>): Promise<void>
  names(): Promise<string[]>
  /** Names of those that have the word of a process. */
  attended(): Promise<string[]>
}

/** @param user who takes objects away */
async function startWatching(user = ADMINISTRATOR): Promise<Watching> {
  const stack = new AsyncDisposableStack()
  const server = stack.use(await startTestServer())
  const directory = dataDirectory(server.root)
  const client = createClient(server.connect())
  await client.create(crds, sandboxCrd())
  const at = { namespace: 'default' }
  await expect
    .poll(() =>
      client.list(sandboxes, at).then(
        () => true,
        () => false,
      ),
    )
    .toBe(true)
  const informer = stack.use(createInformers(client)).of(sandboxes)
  const errors: string[] = []
  const onError = (error: unknown, where: string): void => void errors.push(`${where}: ${(error as Error).message}`)
  const watcher = createClient(server.connect(user))
  stack.use(watchAttendance({ directory, client: watcher, informers: [informer], onError }))
  await informer.synced()
  return {
    directory,
    client,
    errors,
    async create(name, annotations) {
      const spec = { podTemplate: { spec: { containers: [{ name: 'main', image: 'one' }] } } }
      await client.create(sandboxes, { metadata: { name, annotations }, spec } as Sandbox, at)
    },
    names: async () => (await client.list(sandboxes, at)).items.map(({ metadata }) => metadata.name ?? ''),
    attended: async () =>
      (await client.list(sandboxes, at)).items
        .filter(({ metadata }) => metadata.annotations?.['caisson.dev/attended'] !== undefined)
        .map(({ metadata }) => metadata.name ?? ''),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

test('a sandbox goes with the process that attends it, or where there is none', async () => {
  await using watching = await startWatching()
  const attendance = await attend(watching.directory)
  await watching.create('attended', attendance.annotations)
  await watching.create('left', { 'caisson.dev/attended': TOKEN })
  await expect.poll(watching.names).toEqual(['attended'])
  expect(watching.errors).toEqual([])
})

test('a sandbox goes also where what its process left cannot be taken away', async () => {
  await using watching = await startWatching()
  mkdirSync(join(watching.directory.attended, TOKEN))
  await watching.create('left', { 'caisson.dev/attended': TOKEN })
  await expect.poll(watching.names).toEqual([])
  await expect.poll(() => watching.errors).toEqual([expect.stringContaining(TOKEN)])
})

test('what a process has kept outlives it, and is its own no more', async () => {
  await using watching = await startWatching()
  const attendance = await attend(watching.directory)
  await watching.create('one', attendance.annotations)
  await watching.create('other', attendance.annotations)
  attendance.keep()
  await attendance[Symbol.asyncDispose]()
  // As a cluster finds it that was started again since.
  const before = await attend(watching.directory)
  before.keep()
  await before[Symbol.asyncDispose]()
  await watching.create('late', before.annotations)
  await expect.poll(watching.attended).toEqual([])
  expect(await watching.names()).toEqual(['late', 'one', 'other'])
  await expect.poll(() => readdirSync(watching.directory.attended)).toEqual([])
})

test('an object of which somebody takes the word outlives the process', async () => {
  await using watching = await startWatching()
  await using attendance = await attend(watching.directory)
  await watching.create('one', attendance.annotations)
  await watching.create('other', attendance.annotations)
  const metadata = { annotations: { 'caisson.dev/attended': null } }
  await watching.client.patch(sandboxes, 'one', { metadata }, { namespace: 'default' })
  await attendance[Symbol.asyncDispose]()
  await expect.poll(watching.names).toEqual(['one'])
})

test('where it cannot be told whether the process is there, the sandbox stays until it can', async () => {
  await using watching = await startWatching()
  const path = join(watching.directory.attended, TOKEN)
  // Fails as connections do of which nothing can be concluded.
  symlinkSync(TOKEN, path)
  await watching.create('unknown', { 'caisson.dev/attended': TOKEN })
  await expect.poll(() => watching.errors).toHaveLength(1)
  expect(watching.errors[0]).toMatch(/^watching the client of sandbox default\/unknown: connect ELOOP/)
  expect(await watching.names()).toEqual(['unknown'])
  rmSync(path)
  await expect.poll(watching.names, { timeout: 10_000 }).toEqual([])
}, 20_000)

test('what could not be taken away is taken away later, though nothing about it changes', async () => {
  await using watching = await startWatching({ username: 'sweeper', groups: ['system:authenticated'] })
  await watching.create('left', { 'caisson.dev/attended': TOKEN })
  await watching.create('ended', removedWhenEnded)
  const status = {
    conditions: [
      {
        type: 'Finished',
        status: 'True',
        reason: 'PodSucceeded',
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  }
  await watching.client.patchStatus(sandboxes, 'ended', { status } as object, { namespace: 'default' })
  await expect.poll(() => watching.errors.length).toBeGreaterThan(1)
  expect(watching.errors.every((error) => error.includes('is forbidden'))).toBe(true)
  const subject = { kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'sweeper' }
  const roleRef = { kind: 'ClusterRole', apiGroup: 'rbac.authorization.k8s.io', name: 'cluster-admin' }
  await watching.client.create(resources.clusterRoleBindings, {
    metadata: { name: 'sweeper' },
    subjects: [subject],
    roleRef,
  })
  await expect.poll(watching.names, { timeout: 10_000 }).toEqual([])
}, 20_000)
