import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { componentUsers, startApiServer } from '@caisson/apiserver'
import { createClient, createInformers, inProcessTransport, resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { collect } from './collect.ts'
import { watchObjects } from './object-watcher.ts'
import { createOwnershipGraph } from './ownership-graph.ts'

const NAMESPACE = 'default'

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
  const graph = createOwnershipGraph(() => true)
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
