/** Deployments on a real API server, whose Pods become ready as soon as they are there. */
import { componentUsers, startApiServer } from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { NAMESPACE } from '../testing/test-server.ts'
import { startWorkloadCluster, type WorkloadCluster } from '../testing/workload-cluster.ts'

const at = { namespace: NAMESPACE }

function template(image: string, labels: Record<string, string> = { app: 'web' }) {
  return { metadata: { labels }, spec: { containers: [{ name: 'main', image }] } }
}

function deployment(spec: object = {}) {
  return {
    metadata: { name: 'web' },
    spec: { replicas: 3, selector: { matchLabels: { app: 'web' } }, template: template('one'), ...spec },
  }
}

async function settled({ client, until }: WorkloadCluster): Promise<void> {
  await until(async () => {
    const { metadata, spec, status } = await client.get(resources.deployments, 'web', at)
    return (
      status?.observedGeneration === metadata.generation &&
      status?.updatedReplicas === spec?.replicas &&
      status?.replicas === spec?.replicas &&
      status?.availableReplicas === spec?.replicas &&
      status?.conditions?.find(({ type }) => type === 'Progressing')?.reason === 'NewReplicaSetAvailable'
    )
  })
}

async function images({ pods }: WorkloadCluster): Promise<string[]> {
  return (await pods()).map(({ spec }) => spec?.containers[0]?.image ?? '').sort()
}

test('a Deployment goes on counting from a set that it takes over, beyond what a number holds', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client } = cluster
  const revision = 'deployment.kubernetes.io/revision'
  const selector = { matchLabels: { app: 'web' } }
  const old = template('old')
  await client.create(
    resources.replicaSets,
    {
      metadata: { name: 'older', labels: { app: 'web' }, annotations: { [revision]: '3546343826724305832' } },
      spec: { replicas: 1, selector, template: old },
    },
    at,
  )
  await client.create(resources.deployments, deployment(), at)
  await settled(cluster)
  expect((await client.get(resources.deployments, 'web', at)).metadata.annotations).toEqual({
    [revision]: '3546343826724305833',
  })
})

test('a Deployment comes up, rolls to another template, back again, and grows', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, events } = cluster
  await client.create(resources.deployments, deployment(), at)
  await settled(cluster)
  expect(await images(cluster)).toEqual(['one', 'one', 'one'])
  const patch = { spec: { template: { spec: { containers: [{ name: 'main', image: 'two' }] } } } }
  await client.patch(resources.deployments, 'web', patch, at)
  await settled(cluster)
  expect(await images(cluster)).toEqual(['two', 'two', 'two'])
  patch.spec.template.spec.containers[0] = { name: 'main', image: 'one' }
  await client.patch(resources.deployments, 'web', patch, at)
  await settled(cluster)
  const sets = (await client.list(resources.replicaSets, at)).items
  const revision = 'deployment.kubernetes.io/revision'
  expect(
    sets
      .map(({ metadata, spec }) => [
        spec?.template?.spec?.containers[0]?.image,
        spec?.replicas,
        metadata.annotations?.[revision],
      ])
      .toSorted((a, b) => String(a[0]).localeCompare(String(b[0]))),
  ).toEqual([
    ['one', 3, '3'],
    ['two', 0, '2'],
  ])
  expect((await client.get(resources.deployments, 'web', at)).metadata.annotations).toEqual({ [revision]: '3' })
  await client.patch(resources.deployments, 'web', { spec: { replicas: 5 } }, at)
  await settled(cluster)
  expect(await images(cluster)).toHaveLength(5)
  expect(events.filter((event) => event.startsWith('Scaling'))[0]).toMatch(
    /^ScalingReplicaSet Scaled up replica set web-[a-z0-9]+ from 0 to 3$/,
  )
  expect(cluster.errors).toEqual([])
})

test('Recreate has no two generations at once', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client } = cluster
  await client.create(resources.deployments, deployment({ strategy: { type: 'Recreate' } }), at)
  await settled(cluster)
  const patch = { spec: { template: { spec: { containers: [{ name: 'main', image: 'two' }] } } } }
  await client.patch(resources.deployments, 'web', patch, at)
  const seen = new Set<string>()
  await cluster.until(async () => {
    const found = [...new Set(await images(cluster))].join(' ')
    seen.add(found)
    return found === 'two'
  })
  await settled(cluster)
  expect(seen).not.toContain('one two')
})

test('a Deployment whose Pods are refused says so, and goes on when they no longer are', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, until } = cluster
  const spec = { template: { ...template('one'), spec: { ...template('one').spec, hostNetwork: true } } }
  await client.create(resources.deployments, deployment(spec), at)
  await until(async () => {
    const { status } = await client.get(resources.deployments, 'web', at)
    return status?.conditions?.some(({ type }) => type === 'ReplicaFailure') ?? false
  })
  const { status } = await client.get(resources.deployments, 'web', at)
  expect(status?.conditions?.find(({ type }) => type === 'ReplicaFailure')).toMatchObject({
    status: 'True',
    reason: 'FailedCreate',
    message: expect.stringContaining('violates PodSecurity "baseline:latest"'),
  })
  await client.patch(resources.namespaces, NAMESPACE, {
    metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } },
  })
  await settled(cluster)
})

test('a Pod of another namespace that names a ReplicaSet as its controller is none of its Pods', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, until } = cluster
  const elsewhere = { namespace: 'elsewhere' }
  await client.create(resources.namespaces, { metadata: { name: 'elsewhere' } })
  await client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, elsewhere)
  const spec = { replicas: 1, selector: { matchLabels: { app: 'web' } }, template: template('one') }
  const made = await client.create(resources.replicaSets, { metadata: { name: 'web' }, spec }, at)
  const controller = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', controller: true }
  const ownerReferences = [{ ...controller, uid: made.metadata.uid ?? '' }]
  const { metadata, ...pod } = template('one')
  await client.create(
    resources.pods,
    { metadata: { ...metadata, name: 'stranger', ownerReferences }, ...pod },
    elsewhere,
  )
  const grown = await client.patch(resources.replicaSets, 'web', { spec: { replicas: 2 } }, at)
  await until(async () => {
    const { status } = await client.get(resources.replicaSets, 'web', at)
    return status?.observedGeneration === grown.metadata.generation && status?.readyReplicas === 2
  })
  expect(await cluster.pods()).toHaveLength(2)
  expect((await client.get(resources.pods, 'stranger', elsewhere)).metadata.deletionTimestamp).toBe(undefined)
  expect(cluster.errors).toEqual([])
})
