/** Evictions under a PodDisruptionBudget, on a real API server. */
import { componentUsers, startApiServer } from '@caisson/apiserver'
import { isApiError, resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { NAMESPACE } from '../testing/test-server.ts'
import { startWorkloadCluster, type WorkloadCluster } from '../testing/workload-cluster.ts'

const at = { namespace: NAMESPACE }

async function startWeb(cluster: WorkloadCluster, budget: object): Promise<string[]> {
  const { client, until } = cluster
  const labels = { app: 'web' }
  const selector = { matchLabels: labels }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'one' }] } }
  await client.create(resources.podDisruptionBudgets, { metadata: { name: 'web' }, spec: { selector, ...budget } }, at)
  await client.create(
    resources.deployments,
    { metadata: { name: 'web' }, spec: { replicas: 4, selector, template } },
    at,
  )
  await until(async () => (await client.get(resources.podDisruptionBudgets, 'web', at)).status?.currentHealthy === 4)
  return (await cluster.pods()).map(({ metadata }) => metadata.name ?? '')
}

async function evict({ client }: WorkloadCluster, name: string): Promise<string> {
  try {
    await client.createSubresource(resources.pods, name, 'eviction', { metadata: { name } }, at)
    return 'evicted'
  } catch (error) {
    if (!isApiError(error)) throw error
    return `${error.code} ${error.details?.causes?.[0]?.message}`
  }
}

test('of evictions at the same moment no more get through than the budget has', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, until } = cluster
  const names = await startWeb(cluster, { maxUnavailable: '25%' })
  expect((await client.get(resources.podDisruptionBudgets, 'web', at)).status).toMatchObject({
    disruptionsAllowed: 1,
    expectedPods: 4,
    desiredHealthy: 3,
    conditions: [{ type: 'DisruptionAllowed', status: 'True', reason: 'SufficientPods' }],
  })
  const answers = await Promise.all(names.map((name) => evict(cluster, name)))
  expect(answers.filter((answer) => answer === 'evicted')).toHaveLength(1)
  expect(answers.find((answer) => answer !== 'evicted')).toMatch(
    /^429 The disruption budget web needs 3 healthy pods and has \d currently$/,
  )
  // Another one may go when there is a new one in its place.
  await until(async () => {
    const budget = await client.get(resources.podDisruptionBudgets, 'web', at)
    return budget.status?.disruptionsAllowed === 1
  })
  const [next] = await cluster.pods()
  expect(await evict(cluster, next?.metadata.name ?? '')).toBe('evicted')
})

test('a Pod that does not work may go, and a dry run costs nothing', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, until } = cluster
  const names = await startWeb(cluster, { minAvailable: 3 })
  const [first = '', second = '', third = ''] = names
  const body = { metadata: { name: first } }
  await client.createSubresource(resources.pods, first, 'eviction', body, { ...at, dryRun: true })
  const conditions = [{ type: 'Ready', status: 'False', lastTransitionTime: new Date().toISOString() }]
  await cluster.setPodStatus(second, { phase: 'Running', conditions })
  await until(async () => (await client.get(resources.podDisruptionBudgets, 'web', at)).status?.currentHealthy === 3, {
    node: false,
  })
  expect(await evict(cluster, third)).toBe('429 The disruption budget web needs 3 healthy pods and has 3 currently')
  expect(await evict(cluster, second)).toBe('evicted')
  const { status, metadata } = await client.get(resources.pods, second, at)
  expect(metadata.deletionTimestamp).toBeDefined()
  expect(status?.conditions?.find(({ type }) => type === 'DisruptionTarget')).toMatchObject({
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
  })
})
