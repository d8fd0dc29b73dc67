import { type CustomResourceDefinition, sandboxCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { afterEach, describe, expect, test } from 'vitest'
import { useSandboxes } from '../testing/sandbox-fixture.ts'
import { installCrd, podBecomes, READY_STATUS, sandboxNamed, until } from '../testing/test-cluster.ts'
import { PODS, SANDBOXES } from './objects.ts'

const t = useSandboxes(apiserver)

describe('labels and annotations of the template', () => {
  test('follow it while the Pod runs', async () => {
    const spec = { containers: [{ name: 'main', image: 'example.com/main' }] }
    await t.create(sandboxNamed('box', { podTemplate: { metadata: { labels: { app: 'one', old: 'x' } }, spec } }))
    await t.untilPod('box')
    await t.patch('box', {
      spec: { podTemplate: { metadata: { labels: { app: 'two', old: null }, annotations: { note: 'n' } } } },
    })
    const pod = await until(t.client, PODS, t.at('box'), (found) => found?.metadata.labels?.['app'] === 'two')
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
    await t.create(sandboxNamed('box'))
    const volumeClaimTemplates = [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }]
    await expect(t.patch('box', { spec: { volumeClaimTemplates } })).rejects.toThrow(
      'volumeClaimTemplates is immutable',
    )
  })

  test('refuses a name that no Service can have, where a Service is asked for', async () => {
    const name = 'x'.repeat(64)
    await expect(t.create(sandboxNamed(name, { service: true }))).rejects.toThrow(
      'metadata.name must have at most 63 characters when spec.service is true',
    )
    await t.create(sandboxNamed(name))
    await expect(t.patch(name, { spec: { service: true } })).rejects.toThrow('at most 63 characters')
  })

  test('fills in what Kubernetes fills in', async () => {
    const ports = [{ containerPort: 80 }]
    const sandbox = await t.create(
      sandboxNamed('box', {
        podTemplate: { spec: { containers: [{ name: 'main', image: 'example.com/main', ports }] } },
      }),
    )
    expect(sandbox.spec).toMatchObject({ operatingMode: 'Running', shutdownPolicy: 'Retain' })
    expect(sandbox.spec.podTemplate.spec.containers[0]?.ports).toEqual([{ containerPort: 80, protocol: 'TCP' }])
  })
})

describe("other people's CRDs over ours", () => {
  afterEach(() => installCrd(t.client))

  test('cost what they cannot store, a word about it, and nothing else', async () => {
    const crd = structuredClone(sandboxCrd()) as CustomResourceDefinition
    for (const { schema } of crd.spec.versions) {
      const fields = schema.openAPIV3Schema.properties?.['status']?.properties as Record<string, unknown>
      delete fields['podIPs']
    }
    await installCrd(t.client, crd)
    await t.create(sandboxNamed('box'))
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    await t.untilReason('box', 'DependenciesReady')
    await t.patch('box', { metadata: { labels: { touched: 'yes' } } })
    await until(t.client, SANDBOXES, t.at('box'), (s) => s?.metadata.labels?.['touched'] === 'yes')
    await t.running.controllers.idle()
    expect(t.running.writes.filter((write) => write.startsWith('PATCH'))).toHaveLength(1)
    expect(t.running.events.filter(({ reason }) => reason === 'FieldNotStored')).toEqual([
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
