/** StatefulSets and DaemonSets on a real API server. */
import { componentUsers, startApiServer } from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { NAMESPACE } from '../testing/test-server.ts'
import { startWorkloadCluster, type WorkloadCluster } from '../testing/workload-cluster.ts'

const at = { namespace: NAMESPACE }

function template(image: string) {
  return { metadata: { labels: { app: 'db' } }, spec: { containers: [{ name: 'main', image }] } }
}

const claim = {
  metadata: { name: 'data' },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
}

function statefulSet(spec: object = {}) {
  const selector = { matchLabels: { app: 'db' } }
  return {
    metadata: { name: 'db' },
    spec: { serviceName: 'db', replicas: 3, selector, template: template('one'), ...spec },
  }
}

async function names({ pods }: WorkloadCluster): Promise<string[]> {
  return (await pods()).map(({ metadata, spec }) => `${metadata.name} ${spec?.containers[0]?.image}`).sort()
}

async function settled({ client, until, pods }: WorkloadCluster): Promise<void> {
  await until(async () => {
    const { metadata, spec, status } = await client.get(resources.statefulSets, 'db', at)
    return (
      status?.observedGeneration === metadata.generation &&
      (status?.replicas ?? 0) === spec?.replicas &&
      (status?.readyReplicas ?? 0) === spec?.replicas &&
      (await pods()).length === spec?.replicas &&
      ((spec?.updateStrategy?.rollingUpdate?.partition ?? 0) > 0 || status?.currentRevision === status?.updateRevision)
    )
  })
}

test('Pods come one after another, are updated from the last to the first, and go in the same order', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, events } = cluster
  await client.create(
    resources.statefulSets,
    statefulSet({ volumeClaimTemplates: [claim], ordinals: { start: 1 } }),
    at,
  )
  await settled(cluster)
  expect(await names(cluster)).toEqual(['db-1 one', 'db-2 one', 'db-3 one'])
  const [first] = await cluster.pods()
  expect(first?.metadata.labels).toMatchObject({
    'statefulset.kubernetes.io/pod-name': 'db-1',
    'apps.kubernetes.io/pod-index': '1',
  })
  expect(first?.spec).toMatchObject({
    hostname: 'db-1',
    subdomain: 'db',
    volumes: expect.arrayContaining([{ name: 'data', persistentVolumeClaim: { claimName: 'data-db-1' } }]),
  })
  await client.patch(
    resources.statefulSets,
    'db',
    { spec: { template: { spec: { containers: [{ name: 'main', image: 'two' }] } } } },
    at,
  )
  await settled(cluster)
  expect(await names(cluster)).toEqual(['db-1 two', 'db-2 two', 'db-3 two'])
  await client.patch(resources.statefulSets, 'db', { spec: { replicas: 1 } }, at)
  await settled(cluster)
  const pods = events.filter((event) => event.includes(' Pod ') && !event.includes('Claim'))
  expect(pods.map((event) => event.replace(/^\w+ (\w+) Pod db-(\d).*$/, '$1 $2')).join(', ')).toBe(
    'create 1, create 2, create 3, delete 3, create 3, delete 2, create 2, delete 1, create 1, delete 3, delete 2',
  )
  const claims = await client.list(resources.persistentVolumeClaims, at)
  expect(new Set(claims.items.map(({ metadata }) => metadata.name))).toEqual(
    new Set(['data-db-1', 'data-db-2', 'data-db-3']),
  )
  expect(cluster.errors).toEqual([])
})

test('a partition holds the others back, and claims go with Pods that are scaled away where asked', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client } = cluster
  const spec = {
    podManagementPolicy: 'Parallel',
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } },
    volumeClaimTemplates: [claim],
    persistentVolumeClaimRetentionPolicy: { whenScaled: 'Delete', whenDeleted: 'Delete' },
  }
  await client.create(resources.statefulSets, statefulSet(spec), at)
  await settled(cluster)
  await client.patch(
    resources.statefulSets,
    'db',
    { spec: { template: { spec: { containers: [{ name: 'main', image: 'two' }] } } } },
    at,
  )
  await cluster.until(async () => (await names(cluster)).join() === 'db-0 one,db-1 one,db-2 two')
  const owners = async (name: string): Promise<string[]> => {
    const { metadata } = await client.get(resources.persistentVolumeClaims, name, at)
    return (metadata.ownerReferences ?? []).map(({ kind, name: owner }) => `${kind} ${owner}`)
  }
  expect(await owners('data-db-2')).toEqual(['StatefulSet db'])
  await client.patch(resources.statefulSets, 'db', { spec: { replicas: 2 } }, at)
  await cluster.until(async () => (await names(cluster)).length === 2)
  expect(await owners('data-db-2')).toEqual(['Pod db-2'])
})

test('a set takes over what one of its name left, its revisions among it, and makes room for what is another’s', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client } = cluster
  await client.create(resources.statefulSets, statefulSet({ replicas: 1 }), at)
  await settled(cluster)
  const [pod] = await cluster.pods()
  const revisions = async () => (await client.list(resources.controllerRevisions, at)).items
  const [revision] = await revisions()
  await client.delete(resources.statefulSets, 'db', at)
  // As the garbage collector does it for `--cascade=orphan`.
  const orphaned = { metadata: { ownerReferences: null } }
  await client.patch(resources.controllerRevisions, revision?.metadata.name ?? '', orphaned, at)
  await client.patch(resources.pods, pod?.metadata.name ?? '', orphaned, at)
  const { metadata } = await client.create(resources.statefulSets, statefulSet({ replicas: 1 }), at)
  await settled(cluster)
  const owners = (await revisions()).flatMap(({ metadata: { ownerReferences = [] } }) => ownerReferences)
  expect(owners.map(({ uid }) => uid)).toEqual([metadata.uid])
  expect((await cluster.pods()).map((one) => one.metadata.uid)).toEqual([pod?.metadata.uid])

  await client.delete(resources.statefulSets, 'db', at)
  const foreign = { apiVersion: 'v1', kind: 'ConfigMap', name: 'other', uid: 'other', controller: true }
  const theirs = { metadata: { ownerReferences: [foreign] } }
  await client.patch(resources.controllerRevisions, revision?.metadata.name ?? '', theirs, at)
  await client.patch(resources.pods, pod?.metadata.name ?? '', orphaned, at)
  await client.create(resources.statefulSets, statefulSet({ replicas: 1 }), at)
  await settled(cluster)
  expect((await client.get(resources.statefulSets, 'db', at)).status?.collisionCount).toBe(1)
  expect(await revisions()).toHaveLength(2)
})

test('a Pod that comes back waits until the claim has gone that went with the one before', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, until } = cluster
  const persistentVolumeClaimRetentionPolicy = { whenScaled: 'Delete' }
  const spec = { replicas: 2, volumeClaimTemplates: [claim], persistentVolumeClaimRetentionPolicy }
  await client.create(resources.statefulSets, statefulSet(spec), at)
  await settled(cluster)
  const scale = (replicas: number) => client.patch(resources.statefulSets, 'db', { spec: { replicas } }, at)
  await scale(1)
  await until(async () => (await names(cluster)).length === 1)
  // Nobody collects garbage here: the claim is left as its Pod left it.
  const { metadata } = await client.get(resources.persistentVolumeClaims, 'data-db-1', at)
  expect(metadata.ownerReferences).toMatchObject([{ kind: 'Pod', name: 'db-1' }])
  const { generation } = (await scale(2)).metadata
  await until(async () => {
    const { status } = await client.get(resources.statefulSets, 'db', at)
    return status?.observedGeneration === generation
  })
  expect(await names(cluster)).toEqual(['db-0 one'])
  await client.delete(resources.persistentVolumeClaims, 'data-db-1', at)
  await client.patch(resources.persistentVolumeClaims, 'data-db-1', { metadata: { finalizers: null } }, at)
  await settled(cluster)
  expect((await client.get(resources.persistentVolumeClaims, 'data-db-1', at)).metadata.uid).not.toBe(metadata.uid)
})

/** A new node carries a taint until it is ready, which here it is at once. */
async function addNode({ client }: WorkloadCluster, name: string, taints: object[] = []): Promise<void> {
  await client.create(resources.nodes, { metadata: { name }, status: { allocatable: { pods: '10' } } })
  await client.patch(resources.nodes, name, { spec: { taints } } as object)
}

function daemonSet(spec: object = {}) {
  return {
    metadata: { name: 'agent' },
    spec: { selector: { matchLabels: { app: 'db' } }, template: template('one'), ...spec },
  }
}

async function daemons({ pods }: WorkloadCluster): Promise<string[]> {
  const target = /"key":"metadata.name","operator":"In","values":\["([^"]*)"\]/
  return (await pods())
    .map(({ spec }) => `${target.exec(JSON.stringify(spec?.affinity))?.[1]} ${spec?.containers[0]?.image}`)
    .sort()
}

test('a DaemonSet has a Pod on each node that takes it, whatever comes and goes', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, until } = cluster
  const bind = { node: false }
  await addNode(cluster, 'a')
  await addNode(cluster, 'b', [{ key: 'gpu', effect: 'NoSchedule' }])
  await client.create(resources.daemonSets, daemonSet(), at)
  await until(async () => (await daemons(cluster)).join() === 'a one', bind)
  await addNode(cluster, 'c')
  await until(async () => (await daemons(cluster)).join() === 'a one,c one', bind)
  await client.delete(resources.nodes, 'a')
  await until(async () => (await daemons(cluster)).join() === 'c one', bind)
  await client.patch(
    resources.daemonSets,
    'agent',
    { spec: { template: { spec: { containers: [{ name: 'main', image: 'two' }] } } } },
    at,
  )
  await until(async () => (await daemons(cluster)).join() === 'c two', bind)
  const revisions = await client.list(resources.controllerRevisions, at)
  expect(new Set(revisions.items.map(({ revision }) => revision))).toEqual(new Set([1, 2]))
  await until(async () => {
    const { status } = await client.get(resources.daemonSets, 'agent', at)
    return status?.updatedNumberScheduled === 1 && status.observedGeneration === 2
  }, bind)
  expect((await client.get(resources.daemonSets, 'agent', at)).status).toEqual({
    observedGeneration: 2,
    currentNumberScheduled: 1,
    desiredNumberScheduled: 1,
    numberMisscheduled: 0,
    numberReady: 0,
    numberUnavailable: 1,
    updatedNumberScheduled: 1,
  })
  expect(cluster.errors).toEqual([])
})

test('a daemon that fails again is replaced later', async () => {
  await using cluster = await startWorkloadCluster({ startApiServer, componentUsers })
  const { client, until } = cluster
  await addNode(cluster, 'node')
  await client.create(resources.daemonSets, daemonSet(), at)
  const made: string[] = []
  /** Gives when it did; ms. */
  const failOne = async (): Promise<number> => {
    let found: string | undefined
    await until(async () => {
      const [pod] = await cluster.pods()
      if (pod?.status?.phase === 'Running') found = pod.metadata.name
      return found !== undefined && !made.includes(found)
    })
    made.push(found ?? '')
    const moment = performance.now()
    await cluster.setPodStatus(found ?? '', { phase: 'Failed' })
    return moment
  }
  const begun: number[] = []
  for (let failures = 0; failures < 3; failures++) begun.push(await failOne())
  // The second comes at once, the third no sooner than a second after that.
  expect(begun).toHaveLength(3)
  expect((begun[2] ?? 0) - (begun[0] ?? 0)).toBeGreaterThan(990)
  expect(cluster.errors).toEqual([])
})
