import { componentUsers, startApiServer } from '@caisson/apiserver'
import { type Resource, resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { createPartWiring } from '../part-wiring.ts'
import { NAMESPACE, startTestServer } from '../testing/test-server.ts'
import { startScheduler } from './start-scheduler.ts'

const at = { namespace: NAMESPACE }

async function startCluster() {
  await using made = new AsyncDisposableStack()
  const { client, own, informers, signal } = made.use(await startTestServer({ startApiServer, componentUsers }))
  await client.create(resources.nodes, { metadata: { name: 'only', labels: { zone: 'a' } } })
  await client.patchStatus(resources.nodes, 'only', { status: { allocatable: { cpu: '2500m', pods: '10' } } })
  await client.patch(resources.nodes, 'only', { spec: { taints: null } }, { type: 'merge' })
  const { pods, nodes, namespaces, persistentVolumeClaims, storageClasses, podDisruptionBudgets } = resources
  const looked: Resource[] = [pods, nodes, namespaces, persistentVolumeClaims, storageClasses, podDisruptionBudgets]
  for (const resource of looked) informers.of(resource)
  await informers.synced(signal)
  const errors: unknown[] = []
  const options = { client: own, informers, signal, record() {}, onError: (error: unknown) => errors.push(error) }
  startScheduler(createPartWiring(options, made))
  const stack = made.move()
  return {
    client,
    informers,
    errors,
    async create(name: string, labels: Record<string, string>, spec: object = {}) {
      const containers = [{ name: 'main', image: 'x', resources: { requests: { cpu: '1' } } }]
      await client.create(resources.pods, { metadata: { name, labels }, spec: { containers, ...spec } }, at)
    },
    /** Where the Pod is, once something has been said of it. */
    whereIs: (name: string) =>
      expect.poll(async () => {
        const { spec, status } = await client.get(resources.pods, name, at)
        return spec?.nodeName ?? status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message
      }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

const near = (labels: Record<string, string>) => ({
  affinity: {
    podAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'zone', labelSelector: { matchLabels: labels } }],
    },
  },
})

test('a Pod that wants to be near another comes when that one has come, or has become what it looks for', async () => {
  await using cluster = await startCluster()
  const { client, create, whereIs } = cluster
  await create('web', { app: 'web' }, near({ app: 'cache' }))
  await whereIs('web').toMatch("didn't match pod affinity rules")
  await create('cache', { app: 'other' })
  await whereIs('cache').toBe('only')
  await client.patch(resources.pods, 'cache', { metadata: { labels: { app: 'cache' } } }, at)
  await whereIs('web').toBe('only')
  expect(cluster.errors).toEqual([])
})

test('a Pod comes when another one is bound that it wants to be near', async () => {
  await using cluster = await startCluster()
  const { create, whereIs } = cluster
  await create('web', { app: 'web' }, near({ app: 'cache' }))
  await whereIs('web').toMatch("didn't match pod affinity rules")
  await create('cache', { app: 'cache' })
  await whereIs('cache').toBe('only')
  await whereIs('web').toBe('only')
  expect(cluster.errors).toEqual([])
})

test('a Pod comes when another one is given less, on the same node', async () => {
  await using cluster = await startCluster()
  const { client, create, whereIs } = cluster
  await create('first', {})
  await create('second', {})
  await whereIs('first').toBe('only')
  await whereIs('second').toBe('only')
  await create('third', {})
  await whereIs('third').toMatch('Insufficient cpu')
  const containers = [{ name: 'main', resources: { requests: { cpu: '10m' } } }]
  await client.request({
    method: 'PATCH',
    path: `/api/v1/namespaces/${NAMESPACE}/pods/second/resize`,
    body: { spec: { containers } },
    patchType: 'application/strategic-merge-patch+json',
  })
  await whereIs('third').toBe('only')
  expect(cluster.errors).toEqual([])
})
