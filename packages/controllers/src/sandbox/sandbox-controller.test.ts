import { findCondition } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { isNotFound, resources } from '@caisson/client'
import { describe, expect, test } from 'vitest'
import { exists, reasonOf, useSandboxes } from '../testing/sandbox-fixture.ts'
import { podBecomes, podEnds, READY_STATUS, sandboxNamed, until } from '../testing/test-cluster.ts'
import { createNamespace } from '../testing/test-namespace.ts'
import { PODS, SANDBOXES, SERVICES } from './objects.ts'

const t = useSandboxes(apiserver)

describe('a start', () => {
  test('costs one Pod and, if it is quick, one status', async () => {
    await t.create(sandboxNamed('box'))
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    const sandbox = await t.untilReason('box', 'DependenciesReady')
    await t.running.controllers.idle()
    expect(t.running.writes).toEqual(['POST pods', 'PATCH sandboxes/box/status'])
    expect(sandbox.status).toMatchObject({
      podIPs: ['10.1.2.3'],
      selector: 'agents.x-k8s.io/sandbox-name-hash=70c67e32',
    })
    expect(t.running.events.map(({ reason }) => reason)).toEqual(['SandboxPodCreated', 'SandboxReady'])
    expect(t.running.errors).toEqual([])
  })

  test('that takes long says after a second how it goes', async () => {
    await t.create(sandboxNamed('box'))
    const starting = await t.untilReason('box', 'DependenciesNotReady')
    expect(findCondition(starting.status?.conditions, 'Ready')?.message).toBe('Pod exists with phase: Pending')
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    expect(t.running.writes).toEqual(['POST pods', 'PATCH sandboxes/box/status', 'PATCH sandboxes/box/status'])
  })

  test('with claims and a Service makes them too', async () => {
    await t.create(
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
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    const sandbox = await t.untilReason('box', 'DependenciesReady')
    expect(sandbox.status).toMatchObject({ service: 'box', serviceFQDN: `box.${t.namespace}.svc.cluster.local` })
    expect(t.running.writes).toEqual([
      'POST persistentvolumeclaims',
      'POST pods',
      'POST services',
      'PATCH sandboxes/box/status',
    ])
    const [claim, service, pod] = await Promise.all([
      t.client.get(resources.persistentVolumeClaims, 'data-box', { namespace: t.namespace }),
      t.client.get(SERVICES, 'box', { namespace: t.namespace }),
      t.client.get(PODS, 'box', { namespace: t.namespace }),
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

  test('with a claim that the API server refuses makes no Pod, which would mount whatever gets that name', async () => {
    // One is enough to know that.
    const volumeClaimTemplates = Array.from({ length: 100 }, (_, index) => ({
      metadata: { name: `data-${index}` },
      spec: { accessModes: ['Nonsense'] },
    }))
    await t.create(sandboxNamed('box', { volumeClaimTemplates }))
    await t.untilReason('box', 'InvalidConfiguration')
    await t.running.controllers.idle()
    expect(t.running.writes.filter((write) => write.startsWith('POST'))).toEqual(['POST persistentvolumeclaims'])
  })

  test('counts no Pod of another namespace that names the Sandbox as its owner', async () => {
    const sandbox = await t.create(sandboxNamed('box'))
    const elsewhere = `${t.namespace}-elsewhere`
    await createNamespace(t.client, elsewhere)
    const { kind, apiVersion, metadata } = sandbox
    const owner = { kind, apiVersion, name: 'box', uid: metadata.uid ?? '', controller: true }
    const spec = { containers: [{ name: 'c', image: 'example.com/c' }] }
    await t.client.create(PODS, { metadata: { name: 'box', ownerReferences: [owner] }, spec }, { namespace: elsewhere })
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    await t.patch('box', { spec: { podTemplate: { metadata: { annotations: { look: 'again' } } } } })
    await t.running.controllers.idle()
    await t.untilReason('box', 'DependenciesReady')
    expect(t.running.errors).toEqual([])
  })

  test('is gone on with by the next process, whatever the last one had done', async () => {
    await t.restart(async () => {
      await t.create(sandboxNamed('box'))
      await t.create(sandboxNamed('other'))
    })
    await t.untilPod('box')
    await t.restart()
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await podBecomes(t.client, t.at('other'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    await t.untilReason('other', 'DependenciesReady')
    expect(t.running.writes.filter((write) => write === 'POST pods')).toHaveLength(0)
  })

  test('again, after somebody deleted the Pod', async () => {
    await t.create(sandboxNamed('box'))
    const first = await t.untilPod('box')
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    await podEnds(t.client, t.at('box'))
    await until(t.client, PODS, t.at('box'), (pod) => pod !== undefined && pod.metadata.uid !== first.metadata.uid)
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    const again = await t.untilReason('box', 'DependenciesReady')
    expect(reasonOf(again, 'Suspended')).toBe('NotSuspended')
  })
})

describe('an end', () => {
  test.each([
    ['Succeeded', 'PodSucceeded', 'Normal'],
    ['Failed', 'PodFailed', 'Warning'],
  ])('of the workload, %s, is final', async (phase, wanted, type) => {
    await t.create(sandboxNamed('box'))
    await podBecomes(t.client, t.at('box'), { phase })
    const sandbox = await t.untilReason('box', wanted)
    expect(reasonOf(sandbox, 'Finished')).toBe(wanted)
    await t.running.controllers.idle()
    expect(t.running.writes.filter((write) => write === 'POST pods')).toHaveLength(1)
    expect(t.running.events.at(-1)).toMatchObject({ type, reason: wanted })
  })

  test('at shutdownTime with Retain takes what runs and keeps the word', async () => {
    await t.create(sandboxNamed('box', { service: true }))
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    const end = Date.now() + 700
    await t.patch('box', { spec: { shutdownTime: new Date(end).toISOString() } })
    const sandbox = await t.untilReason('box', 'SandboxExpired')
    expect(Date.now() - end).toBeGreaterThanOrEqual(0)
    expect(Date.now() - end).toBeLessThan(500)
    await t.running.controllers.idle()
    expect(Object.keys(sandbox.status ?? {})).toEqual(['conditions'])
    expect(await t.podExists('box')).toBe(false)
    expect(await exists(t.client.get(SERVICES, 'box', { namespace: t.namespace }))).toBe(false)
    expect(t.running.events.at(-1)).toMatchObject({ reason: 'SandboxExpired' })
  })

  test('at shutdownTime with Delete takes the Sandbox too', async () => {
    const shutdownTime = new Date(Date.now() + 700).toISOString()
    await t.create(sandboxNamed('box', { shutdownTime, shutdownPolicy: 'Delete' }))
    await t.untilPod('box')
    await until(t.client, SANDBOXES, t.at('box'), (sandbox) => sandbox === undefined)
    expect(await t.podExists('box')).toBe(false)
    expect(t.running.writes).toEqual(['POST pods', 'DELETE pods/box', 'DELETE sandboxes/box'])
  })
})

describe('a suspension', () => {
  test('by operatingMode deletes the Pod, keeps the Service, and ends in a new Pod', async () => {
    await t.create(sandboxNamed('box', { service: true }))
    const first = await t.untilPod('box')
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    await t.patch('box', { spec: { operatingMode: 'Suspended' } })
    const suspended = await until(t.client, SANDBOXES, t.at('box'), (s) => reasonOf(s, 'Suspended') === 'PodTerminated')
    expect(reasonOf(suspended)).toBe('SandboxSuspended')
    expect(suspended.status?.podIPs).toBeUndefined()
    expect(await exists(t.client.get(SERVICES, 'box', { namespace: t.namespace }))).toBe(true)
    await t.patch('box', { spec: { operatingMode: 'Running' } })
    const second = await t.untilPod('box')
    expect(second.metadata.uid).not.toBe(first.metadata.uid)
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    const resumed = await t.untilReason('box', 'DependenciesReady')
    expect(reasonOf(resumed, 'Suspended')).toBe('NotSuspended')
    await t.running.controllers.idle()
    expect(t.running.events.map(({ reason }) => reason)).toEqual([
      'SandboxPodCreated',
      'SandboxReady',
      'SandboxSuspended',
      'SandboxPodCreated',
      'SandboxReady',
    ])
  })

  test('waits for a Pod that takes its time', async () => {
    await t.create(sandboxNamed('box'))
    await t.untilPod('box')
    await t.client.patch(PODS, 'box', { metadata: { finalizers: ['example.com/hold'] } }, { namespace: t.namespace })
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    await t.patch('box', { spec: { operatingMode: 'Suspended' } })
    const suspending = await until(
      t.client,
      SANDBOXES,
      t.at('box'),
      (s) => reasonOf(s, 'Suspended') === 'PodTerminating',
    )
    expect(findCondition(suspending.status?.conditions, 'Ready')?.message).toBe('Sandbox is suspending')
    await t.client.patch(PODS, 'box', { metadata: { finalizers: null } }, { namespace: t.namespace })
    await until(t.client, SANDBOXES, t.at('box'), (s) => reasonOf(s, 'Suspended') === 'PodTerminated')
  })

  test("never deletes another's Pod", async () => {
    const pod = await t.client.create(
      PODS,
      { metadata: { name: 'box' }, spec: { containers: [{ name: 'c', image: 'example.com/c' }] } },
      { namespace: t.namespace },
    )
    await t.create(sandboxNamed('box', { operatingMode: 'Suspended' }))
    await until(t.client, SANDBOXES, t.at('box'), (s) => reasonOf(s, 'Suspended') === 'PodNotOwned')
    await t.running.controllers.idle()
    expect((await t.client.get(PODS, 'box', { namespace: t.namespace })).metadata.uid).toBe(pod.metadata.uid)
  })
})
describe('what the API server refuses', () => {
  const untilRejected = async (attempt: () => Promise<unknown>) => {
    for (;;) await attempt()
  }

  test('for good, is said once and tried once, until the Sandbox is edited', async () => {
    const invalid = { containers: [{ name: 'Not A Label', image: 'example.com/main' }] }
    await t.create(sandboxNamed('box', { podTemplate: { spec: invalid } }))
    const refused = await t.untilReason('box', 'InvalidConfiguration')
    expect(findCondition(refused.status?.conditions, 'Ready')?.message).toMatch(
      /^Pod "box" is invalid: spec.containers\[0\].name/,
    )
    await t.patch('box', { metadata: { labels: { touched: 'yes' } } })
    await until(t.client, SANDBOXES, t.at('box'), (s) => s?.metadata.labels?.['touched'] === 'yes')
    await t.running.controllers.idle()
    expect(t.running.writes).toEqual(['POST pods', 'PATCH sandboxes/box/status'])
    expect(t.running.events).toMatchObject([{ type: 'Warning', reason: 'SandboxPodCreateFailed' }])
    expect(t.running.errors).toEqual([])

    await t.patch('box', {
      spec: { podTemplate: { spec: { containers: [{ name: 'main', image: 'example.com/main' }] } } },
    })
    await t.untilPod('box')
  })

  test('for now, is tried again', async () => {
    await t.client.create(
      PODS,
      { metadata: { name: 'box' }, spec: { containers: [{ name: 'c', image: 'example.com/c' }] } },
      { namespace: t.namespace },
    )
    await t.create(sandboxNamed('box'))
    const refused = await t.untilReason('box', 'ReconcilerError')
    expect(findCondition(refused.status?.conditions, 'Ready')?.message).toContain(
      'Error seen: cannot adopt unowned pod "box"',
    )
    await podEnds(t.client, t.at('box'))
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    expect(t.running.errors.length).toBeGreaterThan(0)
  })

  test('because the namespace goes away, is no error and no noise', async () => {
    await t.create(sandboxNamed('box'))
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    await t.client.patch(
      SANDBOXES,
      'box',
      { metadata: { finalizers: ['example.com/hold'] } },
      { namespace: t.namespace },
    )
    await t.client.delete(resources.namespaces, t.namespace)
    // Admission learns of it from a watch of its own; only then is anything refused.
    const probe = () =>
      exists(
        t.client.create(resources.configMaps, { metadata: { name: 'x' } }, { namespace: t.namespace, dryRun: true }),
      )
    await expect(untilRejected(probe)).rejects.toMatchObject({ reason: 'Forbidden' })
    t.running.writes.length = 0
    await podEnds(t.client, t.at('box')).catch((error: unknown) => expect(isNotFound(error)).toBe(true))
    await until(t.client, PODS, t.at('box'), (pod) => pod === undefined)
    await t.running.controllers.idle()
    expect(t.running.writes.at(-1)).toBe('POST pods')
    expect(t.running.writes.filter((write) => write === 'POST pods')).toHaveLength(1)
    expect(t.running.errors).toEqual([])
    expect(reasonOf(await t.client.get(SANDBOXES, 'box', { namespace: t.namespace }))).not.toBe('ReconcilerError')
    await t.client.patch(SANDBOXES, 'box', { metadata: { finalizers: null } }, { namespace: t.namespace })
  })
})

describe('adoption', () => {
  test('takes over a Pod that may be taken, and that one only', async () => {
    const adoptable = { 'agents.x-k8s.io/adoptable': 'true' }
    const pod = await t.client.create(
      PODS,
      { metadata: { name: 'box', labels: adoptable }, spec: { containers: [{ name: 'c', image: 'example.com/c' }] } },
      { namespace: t.namespace },
    )
    const sandbox = await t.create(sandboxNamed('box'))
    const adopted = await until(t.client, PODS, t.at('box'), (found) => found?.metadata.ownerReferences !== undefined)
    expect(adopted.metadata.uid).toBe(pod.metadata.uid)
    expect(adopted.metadata.ownerReferences).toMatchObject([{ uid: sandbox.metadata.uid, controller: true }])
  })

  test("of several Pods is nobody's guess", async () => {
    const sandbox = await t.create(sandboxNamed('box'))
    await t.untilPod('box')
    await t.client.create(
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
      { namespace: t.namespace },
    )
    await t.untilReason('box', 'MultiplePods')
    await podEnds(t.client, t.at('second'))
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    await t.running.controllers.idle()
    expect(t.running.events.filter(({ reason }) => reason === 'MultiplePods')).toHaveLength(1)
  })
})
