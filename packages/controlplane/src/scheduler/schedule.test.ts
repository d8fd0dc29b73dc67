import { componentUsers, startApiServer } from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { NAMESPACE, startTestServer } from '../testing/test-server.ts'
import { createNodeLoads } from './node-loads.ts'
import { schedule } from './schedule.ts'

const NODE = 'only'
const TIME = '2026-01-01T00:00:00Z'
const IMPORTANT = 1000

/** A cluster of one node with two processors. */
async function startScheduler() {
  await using made = new AsyncDisposableStack()
  const { client, own, informers, signal } = made.use(await startTestServer({ startApiServer, componentUsers }))
  await client.create(resources.priorityClasses, { metadata: { name: 'important' }, value: IMPORTANT })
  const modest = { value: IMPORTANT, preemptionPolicy: 'Never' as const }
  await client.create(resources.priorityClasses, { metadata: { name: 'modest' }, ...modest })
  const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' }
  await client.patch(resources.namespaces, NAMESPACE, { metadata: { labels } })
  await client.create(resources.nodes, { metadata: { name: NODE } })
  await client.patchStatus(resources.nodes, NODE, { status: { allocatable: { cpu: '2', pods: '10' } } })
  await client.patch(resources.nodes, NODE, { spec: { taints: null } }, { type: 'merge' })
  informers.of(resources.nodes)
  informers.of(resources.namespaces)
  informers.of(resources.podDisruptionBudgets)
  const pods = informers.of(resources.pods)
  await informers.synced(signal)
  const loads = createNodeLoads()
  const events: string[] = []
  const stack = made.move()
  return {
    client,
    loads,
    events,
    /** Makes a Pod that asks for so many processors, and looks for its place. */
    async place(name: string, cpu: string, more: object = {}, port?: number): Promise<string> {
      const resource = { requests: { cpu } }
      const ports = port === undefined ? [] : [{ containerPort: port, hostPort: port }]
      const spec = { containers: [{ name: 'main', image: 'x', resources: resource, ports }], ...more }
      const created = await client.create(resources.pods, { metadata: { name }, spec }, { namespace: NAMESPACE })
      return await this.again(created.metadata.name ?? '')
    },
    async again(name: string): Promise<string> {
      for (const each of (await client.list(resources.pods, { namespace: NAMESPACE })).items) loads.observe(each)
      const pod = await client.get(resources.pods, name, { namespace: NAMESPACE })
      const outcome = await schedule(pod, {
        client: own,
        informers,
        loads,
        record: ({ metadata }, { reason, message }) => events.push(`${metadata.name}: ${reason} ${message}`),
        now: () => Date.parse(TIME),
        signal,
      })
      const after = await client.get(resources.pods, name, { namespace: NAMESPACE })
      pods.observe(after)
      loads.observe(after)
      return outcome
    },
    /** Looks for the place of a Pod that was made in a namespace before that was to go. */
    async placeLate(): Promise<string> {
      const namespace = 'going'
      await client.create(resources.namespaces, { metadata: { name: namespace } })
      await client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace })
      const spec = { containers: [{ name: 'main', image: 'x' }] }
      const pod = await client.create(resources.pods, { metadata: { name: 'late' }, spec }, { namespace })
      await client.delete(resources.namespaces, namespace)
      return await schedule(pod, { client: own, informers, loads, record: () => undefined, now: Date.now, signal })
    },
    get: (name: string) => client.get(resources.pods, name, { namespace: NAMESPACE }),
    /** As the kubelet does at the end of a Pod. */
    async finish(name: string): Promise<void> {
      const pod = await client.get(resources.pods, name, { namespace: NAMESPACE })
      await client.delete(resources.pods, name, { namespace: NAMESPACE, gracePeriodSeconds: 0 })
      loads.forget(pod)
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

test('the least important goes for one of higher priority, whose place nobody else takes', async () => {
  await using cluster = await startScheduler()
  expect(await cluster.place('old', '1')).toBe('bound')
  expect(await cluster.place('new', '1')).toBe('bound')
  expect(await cluster.place('first', '1', { priorityClassName: 'important' })).toBe('unschedulable')
  const { metadata } = await cluster.get('first')
  const { status } = await cluster.get('first')
  expect(status?.nominatedNodeName).toBe(NODE)
  expect(status?.conditions?.[0]).toMatchObject({
    reason: 'Unschedulable',
    message: '0/1 nodes are available: 1 Insufficient cpu.',
  })
  const victims = await Promise.all(['old', 'new'].map((name) => cluster.get(name)))
  const [victim, ...others] = victims.filter((pod) => pod.metadata.deletionTimestamp)
  expect(others).toEqual([])
  expect(victim?.status?.conditions).toContainEqual({
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'PreemptionByScheduler',
    message: 'default-scheduler: preempting to accommodate a higher priority pod',
    lastProbeTime: null,
    lastTransitionTime: TIME,
  })
  const name = victim?.metadata.name ?? ''
  expect(cluster.events).toContain(`${name}: Preempted Preempted by pod ${metadata.uid} on node ${NODE}`)

  // Nobody else is made to go while it goes.
  expect(await cluster.again('first')).toBe('unschedulable')
  expect((await cluster.get('first')).status?.conditions?.[0]?.message).toBe(
    '0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to a terminating pod on the nominated node.',
  )
  await cluster.finish(name)
  expect(await cluster.place('thief', '1')).toBe('unschedulable')
  expect(await cluster.again('first')).toBe('bound')
  expect((await cluster.get('first')).status?.nominatedNodeName).toBe(undefined)
})

test('nobody goes where that does not help, or where the Pod does not want it', async () => {
  await using cluster = await startScheduler()
  await cluster.place('busy', '1')
  const important = { priorityClassName: 'important' }
  expect(await cluster.place('huge', '3', important)).toBe('unschedulable')
  expect((await cluster.get('huge')).status?.conditions?.[0]?.message).toBe(
    '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.',
  )
  expect(await cluster.place('modest', '2', { priorityClassName: 'modest' })).toBe('unschedulable')
  expect((await cluster.get('modest')).status?.conditions?.[0]?.message).toBe(
    '0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.',
  )
  expect((await cluster.get('busy')).metadata.deletionTimestamp).toBe(undefined)
})

test('two Pods do not have one port of a node, and the more important one has it', async () => {
  await using cluster = await startScheduler()
  expect(await cluster.place('holder', '100m', {}, 8080)).toBe('bound')
  expect(await cluster.place('other', '100m', {}, 8081)).toBe('bound')
  expect(await cluster.place('same', '100m', {}, 8080)).toBe('unschedulable')
  expect((await cluster.get('same')).status?.conditions?.[0]?.message).toMatch(
    /^0\/1 nodes are available: 1 node\(s\) didn't have free ports for the requested pod ports\. /,
  )
  expect(await cluster.place('first', '100m', { priorityClassName: 'important' }, 8080)).toBe('unschedulable')
  expect((await cluster.get('holder')).metadata.deletionTimestamp).not.toBe(undefined)
  expect((await cluster.get('other')).metadata.deletionTimestamp).toBe(undefined)
})

test('a Pod with more terms about its neighbours than can be looked at has no place', async () => {
  await using cluster = await startScheduler()
  const terms = Array.from({ length: 101 }, () => ({ topologyKey: 'kubernetes.io/hostname', labelSelector: {} }))
  const affinity = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } }
  expect(await cluster.place('averse', '1', { affinity })).toBe('unschedulable')
  const said = 'pod has 101 terms about where other pods are, of which 100 can be looked at'
  expect(cluster.events).toEqual([`averse: FailedScheduling ${said}`])
  expect(await cluster.place('other', '1')).toBe('bound')
})

test('a Pod of a namespace that goes is left to whoever empties it', async () => {
  await using cluster = await startScheduler()
  expect(await cluster.placeLate()).toBe('not-ours')
})
