import { randomBytes } from 'node:crypto'
import { type CustomResourceDefinition, findCondition, type Sandbox, sandboxCrd, snapshotCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type Client, isAlreadyExists, isNotFound, resources } from '@caisson/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import {
  connectCluster,
  installCrd,
  OLD_SANDBOXES,
  podBecomes,
  podEnds,
  READY_STATUS,
  type RunningControllers,
  runControllers,
  sandboxNamed,
  type TestCluster,
  until,
} from '../testing/test-cluster.ts'
import { PODS, SANDBOXES, SERVICES } from './objects.ts'

let cluster: TestCluster
let client: Client
let namespace: string
let running: RunningControllers

beforeAll(async () => {
  const kubeconfig = process.env['CAISSON_TEST_KUBECONFIG']
  cluster = kubeconfig ? await connectCluster(kubeconfig) : await startEmbeddedCluster(apiserver)
  client = cluster.client
  await installCrd(client)
  await installCrd(client, snapshotCrd())
})
afterAll(async () => cluster[Symbol.asyncDispose]())

beforeEach(async () => {
  namespace = `test-${randomBytes(4).toString('hex')}`
  await client.create(resources.namespaces, { metadata: { name: namespace } })
  // Its controller may not be there, and Pods need it.
  await client
    .create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace })
    .catch((error: unknown) => expect(isAlreadyExists(error)).toBe(true))
  running = await runControllers(cluster, namespace)
})
afterEach(async () => {
  await running[Symbol.asyncDispose]()
  await client.delete(resources.namespaces, namespace)
})

const create = (sandbox: Sandbox) => client.create(SANDBOXES, sandbox, { namespace })
const patch = (name: string, body: object) => client.patch(SANDBOXES, name, body, { namespace })
const at = (name: string) => ({ namespace, name })
const reason = (sandbox: Sandbox | undefined, type = 'Ready') =>
  findCondition(sandbox?.status?.conditions, type)?.reason
const untilReason = (name: string, wanted: string, type = 'Ready') =>
  until(client, SANDBOXES, at(name), (sandbox) => reason(sandbox, type) === wanted)
const untilPod = (name: string) => until(client, PODS, at(name), (pod) => pod !== undefined)
const exists = async (get: Promise<unknown>) => {
  try {
    await get
    return true
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
}
const untilRejected = async (attempt: () => Promise<unknown>) => {
  for (;;) await attempt()
}
const podExists = (name: string) => exists(client.get(PODS, name, { namespace }))

describe('a start', () => {
  test('costs one Pod and, if it is quick, one status', async () => {
    await create(sandboxNamed('box'))
    await podBecomes(client, at('box'), READY_STATUS)
    const sandbox = await untilReason('box', 'DependenciesReady')
    await running.controllers.idle()
    expect(running.writes).toEqual(['POST pods', 'PATCH sandboxes/box/status'])
    expect(sandbox.status).toMatchObject({
      podIPs: ['10.1.2.3'],
      selector: 'agents.x-k8s.io/sandbox-name-hash=70c67e32',
    })
    expect(running.events.map(({ reason }) => reason)).toEqual(['SandboxPodCreated', 'SandboxReady'])
    expect(running.errors).toEqual([])
  })

  test('that takes long says after a second how it goes', async () => {
    await create(sandboxNamed('box'))
    const starting = await untilReason('box', 'DependenciesNotReady')
    expect(findCondition(starting.status?.conditions, 'Ready')?.message).toBe('Pod exists with phase: Pending')
    await podBecomes(client, at('box'), READY_STATUS)
    await untilReason('box', 'DependenciesReady')
    expect(running.writes).toEqual(['POST pods', 'PATCH sandboxes/box/status', 'PATCH sandboxes/box/status'])
  })

  test('with claims and a Service makes them too', async () => {
    await create(
      sandboxNamed('box', {
        service: true,
        volumeClaimTemplates: [
          {
            metadata: { name: 'data' },
            spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
          },
        ],
      }),
    )
    await podBecomes(client, at('box'), READY_STATUS)
    const sandbox = await untilReason('box', 'DependenciesReady')
    expect(sandbox.status).toMatchObject({ service: 'box', serviceFQDN: `box.${namespace}.svc.cluster.local` })
    expect(running.writes).toEqual([
      'POST persistentvolumeclaims',
      'POST pods',
      'POST services',
      'PATCH sandboxes/box/status',
    ])
    const [claim, service, pod] = await Promise.all([
      client.get(resources.persistentVolumeClaims, 'data-box', { namespace }),
      client.get(SERVICES, 'box', { namespace }),
      client.get(PODS, 'box', { namespace }),
    ])
    const owner = {
      kind: 'Sandbox',
      name: 'box',
      uid: sandbox.metadata.uid,
      controller: true,
      blockOwnerDeletion: true,
    }
    for (const child of [claim, service, pod]) expect(child.metadata.ownerReferences).toMatchObject([owner])
    expect(service.spec?.clusterIP).toBe('None')
    expect(pod.spec?.volumes).toContainEqual({ name: 'data', persistentVolumeClaim: { claimName: 'data-box' } })
  })

  test('is gone on with by the next process, whatever the last one had done', async () => {
    await running[Symbol.asyncDispose]()
    await create(sandboxNamed('box'))
    await create(sandboxNamed('other'))
    running = await runControllers(cluster, namespace)
    await untilPod('box')
    await running[Symbol.asyncDispose]()
    running = await runControllers(cluster, namespace)
    await podBecomes(client, at('box'), READY_STATUS)
    await podBecomes(client, at('other'), READY_STATUS)
    await untilReason('box', 'DependenciesReady')
    await untilReason('other', 'DependenciesReady')
    expect(running.writes.filter((write) => write === 'POST pods')).toHaveLength(0)
  })

  test('again, after somebody deleted the Pod', async () => {
    await create(sandboxNamed('box'))
    const first = await untilPod('box')
    await podBecomes(client, at('box'), READY_STATUS)
    await untilReason('box', 'DependenciesReady')
    await podEnds(client, at('box'))
    await until(client, PODS, at('box'), (pod) => pod !== undefined && pod.metadata.uid !== first.metadata.uid)
    await podBecomes(client, at('box'), READY_STATUS)
    const again = await untilReason('box', 'DependenciesReady')
    expect(reason(again, 'Suspended')).toBe('NotSuspended')
  })
})

describe('an end', () => {
  test.each([
    ['Succeeded', 'PodSucceeded', 'Normal'],
    ['Failed', 'PodFailed', 'Warning'],
  ])('of the workload, %s, is final', async (phase, wanted, type) => {
    await create(sandboxNamed('box'))
    await podBecomes(client, at('box'), { phase })
    const sandbox = await untilReason('box', wanted)
    expect(reason(sandbox, 'Finished')).toBe(wanted)
    await running.controllers.idle()
    expect(running.writes.filter((write) => write === 'POST pods')).toHaveLength(1)
    expect(running.events.at(-1)).toMatchObject({ type, reason: wanted })
  })

  test('at shutdownTime with Retain takes what runs and keeps the word', async () => {
    await create(sandboxNamed('box', { service: true }))
    await podBecomes(client, at('box'), READY_STATUS)
    await untilReason('box', 'DependenciesReady')
    const end = Date.now() + 700
    await patch('box', { spec: { shutdownTime: new Date(end).toISOString() } })
    const sandbox = await untilReason('box', 'SandboxExpired')
    expect(Date.now() - end).toBeGreaterThanOrEqual(0)
    expect(Date.now() - end).toBeLessThan(500)
    await running.controllers.idle()
    expect(Object.keys(sandbox.status ?? {})).toEqual(['conditions'])
    expect(await podExists('box')).toBe(false)
    expect(await exists(client.get(SERVICES, 'box', { namespace }))).toBe(false)
    expect(running.events.at(-1)).toMatchObject({ reason: 'SandboxExpired' })
  })

  test('at shutdownTime with Delete takes the Sandbox too', async () => {
    const shutdownTime = new Date(Date.now() + 700).toISOString()
    await create(sandboxNamed('box', { shutdownTime, shutdownPolicy: 'Delete' }))
    await untilPod('box')
    await until(client, SANDBOXES, at('box'), (sandbox) => sandbox === undefined)
    expect(await podExists('box')).toBe(false)
    expect(running.writes).toEqual(['POST pods', 'DELETE pods/box', 'DELETE sandboxes/box'])
  })
})

describe('a suspension', () => {
  test('by operatingMode deletes the Pod, keeps the Service, and ends in a new Pod', async () => {
    await create(sandboxNamed('box', { service: true }))
    const first = await untilPod('box')
    await podBecomes(client, at('box'), READY_STATUS)
    await untilReason('box', 'DependenciesReady')
    await patch('box', { spec: { operatingMode: 'Suspended' } })
    const suspended = await until(client, SANDBOXES, at('box'), (s) => reason(s, 'Suspended') === 'PodTerminated')
    expect(reason(suspended)).toBe('SandboxSuspended')
    expect(suspended.status?.podIPs).toBeUndefined()
    expect(await exists(client.get(SERVICES, 'box', { namespace }))).toBe(true)
    await patch('box', { spec: { operatingMode: 'Running' } })
    const second = await untilPod('box')
    expect(second.metadata.uid).not.toBe(first.metadata.uid)
    await podBecomes(client, at('box'), READY_STATUS)
    const resumed = await untilReason('box', 'DependenciesReady')
    expect(reason(resumed, 'Suspended')).toBe('NotSuspended')
    await running.controllers.idle()
    expect(running.events.map(({ reason }) => reason)).toEqual([
      'SandboxPodCreated',
      'SandboxReady',
      'SandboxSuspended',
      'SandboxPodCreated',
      'SandboxReady',
    ])
  })

  test('waits for a Pod that takes its time', async () => {
    await create(sandboxNamed('box'))
    await untilPod('box')
    await client.patch(PODS, 'box', { metadata: { finalizers: ['example.com/hold'] } }, { namespace })
    await podBecomes(client, at('box'), READY_STATUS)
    await untilReason('box', 'DependenciesReady')
    await patch('box', { spec: { operatingMode: 'Suspended' } })
    const suspending = await until(client, SANDBOXES, at('box'), (s) => reason(s, 'Suspended') === 'PodTerminating')
    expect(findCondition(suspending.status?.conditions, 'Ready')?.message).toBe('Sandbox is suspending')
    await client.patch(PODS, 'box', { metadata: { finalizers: null } }, { namespace })
    await until(client, SANDBOXES, at('box'), (s) => reason(s, 'Suspended') === 'PodTerminated')
  })

  test("never deletes another's Pod", async () => {
    const pod = await client.create(
      PODS,
      { metadata: { name: 'box' }, spec: { containers: [{ name: 'c', image: 'example.com/c' }] } },
      { namespace },
    )
    await create(sandboxNamed('box', { operatingMode: 'Suspended' }))
    await until(client, SANDBOXES, at('box'), (s) => reason(s, 'Suspended') === 'PodNotOwned')
    await running.controllers.idle()
    expect((await client.get(PODS, 'box', { namespace })).metadata.uid).toBe(pod.metadata.uid)
  })
})

// The end-to-end side of the table in plan-sandbox.test.ts: what is stored when each version's client writes.
describe('replicas and operatingMode', () => {
  const modeOf = async () => (await client.get(SANDBOXES, 'box', { namespace })).spec

  test('v1alpha1: create with replicas 0, scale to 1, scale to 0, remove replicas', async () => {
    await client.create(
      OLD_SANDBOXES,
      { ...sandboxNamed('box', { replicas: 0 }), apiVersion: OLD_SANDBOXES.apiVersion },
      { namespace },
    )
    await until(
      client,
      SANDBOXES,
      at('box'),
      (s) => reason(s) === 'SandboxSuspended' && s?.spec.operatingMode === 'Suspended',
    )
    expect(await podExists('box')).toBe(false)

    const scale = (replicas: number) =>
      client.patch(OLD_SANDBOXES, 'box', { spec: { replicas } }, { namespace, subresource: 'scale' })
    await scale(1)
    await podBecomes(client, at('box'), READY_STATUS)
    const ready = await untilReason('box', 'DependenciesReady')
    expect(ready).toMatchObject({ spec: { replicas: 1, operatingMode: 'Running' }, status: { replicas: 1 } })
    const shown = await client.get(OLD_SANDBOXES, 'box', { namespace, subresource: 'scale' })
    expect(shown).toMatchObject({ spec: { replicas: 1 }, status: { replicas: 1, selector: ready.status?.selector } })

    await scale(0)
    await until(client, SANDBOXES, at('box'), (s) => reason(s, 'Suspended') === 'PodTerminated')
    expect(await modeOf()).toMatchObject({ replicas: 0, operatingMode: 'Suspended' })

    await client.patch(OLD_SANDBOXES, 'box', { spec: { replicas: null } }, { namespace })
    const without = await until(client, SANDBOXES, at('box'), (s) => s?.status?.replicas === undefined)
    expect(without.spec.operatingMode).toBe('Suspended')
    expect(reason(without)).toBe('SandboxSuspended')
  })

  test('v1alpha1: scale gives replicas to a Sandbox that had none', async () => {
    await create(sandboxNamed('box'))
    await untilPod('box')
    await client.patch(OLD_SANDBOXES, 'box', { spec: { replicas: 0 } }, { namespace, subresource: 'scale' })
    const suspended = await until(client, SANDBOXES, at('box'), (s) => reason(s, 'Suspended') === 'PodTerminated')
    expect(suspended.spec).toMatchObject({ replicas: 0, operatingMode: 'Suspended' })
  })

  test('v1beta1: a typed client that drops replicas changes nothing; its operatingMode beside replicas does not either', async () => {
    await create(sandboxNamed('box', { replicas: 0 }))
    await until(
      client,
      SANDBOXES,
      at('box'),
      (s) => reason(s) === 'SandboxSuspended' && s?.spec.operatingMode === 'Suspended',
    )
    await patch('box', { spec: { operatingMode: 'Running' } })
    await until(client, SANDBOXES, at('box'), (s) => s?.spec.operatingMode === 'Suspended')
    expect(await podExists('box')).toBe(false)

    // So that no status comes between the read and the update.
    await running.controllers.idle()
    const current = await client.get(SANDBOXES, 'box', { namespace })
    const { replicas: _replicas, ...spec } = current.spec
    await client.update(SANDBOXES, { ...current, spec }, { namespace })
    await until(
      client,
      SANDBOXES,
      at('box'),
      (s) => s?.status?.replicas === undefined && s?.spec.replicas === undefined,
    )
    await running.controllers.idle()
    expect(await podExists('box')).toBe(false)

    await patch('box', { spec: { operatingMode: 'Running' } })
    await untilPod('box')
  })
})

describe('what the API server refuses', () => {
  test('for good, is said once and tried once, until the Sandbox is edited', async () => {
    const invalid = { containers: [{ name: 'Not A Label', image: 'example.com/main' }] }
    await create(sandboxNamed('box', { podTemplate: { spec: invalid } }))
    const refused = await untilReason('box', 'InvalidConfiguration')
    expect(findCondition(refused.status?.conditions, 'Ready')?.message).toMatch(
      /^Pod "box" is invalid: spec.containers\[0\].name/,
    )
    await patch('box', { metadata: { labels: { touched: 'yes' } } })
    await until(client, SANDBOXES, at('box'), (s) => s?.metadata.labels?.['touched'] === 'yes')
    await running.controllers.idle()
    expect(running.writes).toEqual(['POST pods', 'PATCH sandboxes/box/status'])
    expect(running.events).toMatchObject([{ type: 'Warning', reason: 'SandboxPodCreateFailed' }])
    expect(running.errors).toEqual([])

    await patch('box', {
      spec: { podTemplate: { spec: { containers: [{ name: 'main', image: 'example.com/main' }] } } },
    })
    await untilPod('box')
  })

  test('for now, is tried again', async () => {
    await client.create(
      PODS,
      { metadata: { name: 'box' }, spec: { containers: [{ name: 'c', image: 'example.com/c' }] } },
      { namespace },
    )
    await create(sandboxNamed('box'))
    const refused = await untilReason('box', 'ReconcilerError')
    expect(findCondition(refused.status?.conditions, 'Ready')?.message).toContain(
      'Error seen: cannot adopt unowned pod "box"',
    )
    await podEnds(client, at('box'))
    await podBecomes(client, at('box'), READY_STATUS)
    await untilReason('box', 'DependenciesReady')
    expect(running.errors.length).toBeGreaterThan(0)
  })

  test('because the namespace goes away, is no error and no noise', async () => {
    await create(sandboxNamed('box'))
    await podBecomes(client, at('box'), READY_STATUS)
    await untilReason('box', 'DependenciesReady')
    await client.patch(SANDBOXES, 'box', { metadata: { finalizers: ['example.com/hold'] } }, { namespace })
    await client.delete(resources.namespaces, namespace)
    // Admission learns of it from a watch of its own; only then is anything refused.
    const probe = () =>
      exists(client.create(resources.configMaps, { metadata: { name: 'x' } }, { namespace, dryRun: true }))
    await expect(untilRejected(probe)).rejects.toMatchObject({ reason: 'Forbidden' })
    running.writes.length = 0
    await podEnds(client, at('box')).catch((error: unknown) => expect(isNotFound(error)).toBe(true))
    await until(client, PODS, at('box'), (pod) => pod === undefined)
    await running.controllers.idle()
    expect(running.writes.at(-1)).toBe('POST pods')
    expect(running.writes.filter((write) => write === 'POST pods')).toHaveLength(1)
    expect(running.errors).toEqual([])
    expect(reason(await client.get(SANDBOXES, 'box', { namespace }))).not.toBe('ReconcilerError')
    await client.patch(SANDBOXES, 'box', { metadata: { finalizers: null } }, { namespace })
  })
})

describe('adoption', () => {
  test('takes over a Pod that may be taken, and that one only', async () => {
    const adoptable = { 'agents.x-k8s.io/adoptable': 'true' }
    const pod = await client.create(
      PODS,
      { metadata: { name: 'box', labels: adoptable }, spec: { containers: [{ name: 'c', image: 'example.com/c' }] } },
      { namespace },
    )
    const sandbox = await create(sandboxNamed('box'))
    const adopted = await until(client, PODS, at('box'), (found) => found?.metadata.ownerReferences !== undefined)
    expect(adopted.metadata.uid).toBe(pod.metadata.uid)
    expect(adopted.metadata.ownerReferences).toMatchObject([{ uid: sandbox.metadata.uid, controller: true }])
  })

  test("of several Pods is nobody's guess", async () => {
    const sandbox = await create(sandboxNamed('box'))
    await untilPod('box')
    await client.create(
      PODS,
      {
        metadata: {
          name: 'second',
          ownerReferences: [
            {
              apiVersion: SANDBOXES.apiVersion,
              kind: 'Sandbox',
              name: 'box',
              uid: sandbox.metadata.uid ?? '',
              controller: true,
            },
          ],
        },
        spec: { containers: [{ name: 'c', image: 'example.com/c' }] },
      },
      { namespace },
    )
    await untilReason('box', 'MultiplePods')
    await podEnds(client, at('second'))
    await podBecomes(client, at('box'), READY_STATUS)
    await untilReason('box', 'DependenciesReady')
    await running.controllers.idle()
    expect(running.events.filter(({ reason }) => reason === 'MultiplePods')).toHaveLength(1)
  })
})

describe('labels and annotations of the template', () => {
  test('follow it while the Pod runs', async () => {
    const spec = { containers: [{ name: 'main', image: 'example.com/main' }] }
    await create(sandboxNamed('box', { podTemplate: { metadata: { labels: { app: 'one', old: 'x' } }, spec } }))
    await untilPod('box')
    await patch('box', {
      spec: { podTemplate: { metadata: { labels: { app: 'two', old: null }, annotations: { note: 'n' } } } },
    })
    const pod = await until(client, PODS, at('box'), (found) => found?.metadata.labels?.['app'] === 'two')
    expect(pod.metadata.labels).toEqual({ app: 'two', 'agents.x-k8s.io/sandbox-name-hash': '70c67e32' })
    expect(pod.metadata.annotations).toMatchObject({
      note: 'n',
      'agents.x-k8s.io/propagated-labels': 'app',
      'agents.x-k8s.io/propagated-annotations': 'note',
    })
  })
})

describe('the schema', () => {
  test('refuses a change of volumeClaimTemplates', async () => {
    await create(sandboxNamed('box'))
    const volumeClaimTemplates = [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }]
    await expect(patch('box', { spec: { volumeClaimTemplates } })).rejects.toThrow('volumeClaimTemplates is immutable')
  })

  test('refuses a name that no Service can have, where a Service is asked for', async () => {
    const name = 'x'.repeat(64)
    await expect(create(sandboxNamed(name, { service: true }))).rejects.toThrow(
      'metadata.name must have at most 63 characters when spec.service is true',
    )
    await create(sandboxNamed(name))
    await expect(patch(name, { spec: { service: true } })).rejects.toThrow('at most 63 characters')
  })

  test('fills in what Kubernetes fills in', async () => {
    const ports = [{ containerPort: 80 }]
    const sandbox = await create(
      sandboxNamed('box', {
        podTemplate: { spec: { containers: [{ name: 'main', image: 'example.com/main', ports }] } },
      }),
    )
    expect(sandbox.spec).toMatchObject({ operatingMode: 'Running', shutdownPolicy: 'Retain' })
    expect(sandbox.spec.podTemplate.spec.containers[0]?.ports).toEqual([{ containerPort: 80, protocol: 'TCP' }])
  })
})

describe("other people's CRDs over ours", () => {
  afterEach(() => installCrd(client))

  test('cost what they cannot store, a word about it, and nothing else', async () => {
    const crd = structuredClone(sandboxCrd()) as CustomResourceDefinition
    for (const { schema } of crd.spec.versions) {
      const fields = schema.openAPIV3Schema.properties?.['status']?.properties as Record<string, unknown>
      delete fields['podIPs']
    }
    await installCrd(client, crd)
    await create(sandboxNamed('box'))
    await podBecomes(client, at('box'), READY_STATUS)
    await untilReason('box', 'DependenciesReady')
    await patch('box', { metadata: { labels: { touched: 'yes' } } })
    await until(client, SANDBOXES, at('box'), (s) => s?.metadata.labels?.['touched'] === 'yes')
    await running.controllers.idle()
    expect(running.writes.filter((write) => write.startsWith('PATCH'))).toHaveLength(1)
    expect(running.events.filter(({ reason }) => reason === 'FieldNotStored')).toEqual([
      {
        about: 'box',
        type: 'Warning',
        reason: 'FieldNotStored',
        message:
          'the installed CustomResourceDefinition sandboxes.agents.x-k8s.io has no place for status.podIPs: install the one of this controller to have it stored',
      },
    ])
  })
})
