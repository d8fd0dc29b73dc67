/** What is stored when clients of each version write, and what the controller makes of it. */
import * as apiserver from '@caisson/apiserver'
import { describe, expect, test } from 'vitest'
import { reasonOf, useSandboxes } from '../testing/sandbox-fixture.ts'
import { OLD_SANDBOXES, podBecomes, READY_STATUS, sandboxNamed, until } from '../testing/test-cluster.ts'
import { SANDBOXES } from './objects.ts'

const t = useSandboxes(apiserver)

describe('replicas and operatingMode', () => {
  const modeOf = async () => (await t.client.get(SANDBOXES, 'box', { namespace: t.namespace })).spec

  test('v1alpha1: create with replicas 0, scale to 1, scale to 0, remove replicas', async () => {
    await t.client.create(
      OLD_SANDBOXES,
      { ...sandboxNamed('box', { replicas: 0 }), apiVersion: OLD_SANDBOXES.apiVersion },
      { namespace: t.namespace },
    )
    await until(
      t.client,
      SANDBOXES,
      t.at('box'),
      (s) => reasonOf(s) === 'SandboxSuspended' && s?.spec.operatingMode === 'Suspended',
    )
    expect(await t.podExists('box')).toBe(false)

    const scale = (replicas: number) =>
      t.client.patch(OLD_SANDBOXES, 'box', { spec: { replicas } }, { namespace: t.namespace, subresource: 'scale' })
    await scale(1)
    await podBecomes(t.client, t.at('box'), READY_STATUS)
    const ready = await t.untilReason('box', 'DependenciesReady')
    expect(ready).toMatchObject({ spec: { replicas: 1, operatingMode: 'Running' }, status: { replicas: 1 } })
    const shown = await t.client.get(OLD_SANDBOXES, 'box', { namespace: t.namespace, subresource: 'scale' })
    expect(shown).toMatchObject({ spec: { replicas: 1 }, status: { replicas: 1, selector: ready.status?.selector } })

    await scale(0)
    await until(t.client, SANDBOXES, t.at('box'), (s) => reasonOf(s, 'Suspended') === 'PodTerminated')
    expect(await modeOf()).toMatchObject({ replicas: 0, operatingMode: 'Suspended' })

    await t.client.patch(OLD_SANDBOXES, 'box', { spec: { replicas: null } }, { namespace: t.namespace })
    const without = await until(t.client, SANDBOXES, t.at('box'), (s) => s?.status?.replicas === undefined)
    expect(without.spec.operatingMode).toBe('Suspended')
    expect(reasonOf(without)).toBe('SandboxSuspended')
  })

  test('v1alpha1: scale gives replicas to a Sandbox that had none', async () => {
    await t.create(sandboxNamed('box'))
    await t.untilPod('box')
    await t.client.patch(
      OLD_SANDBOXES,
      'box',
      { spec: { replicas: 0 } },
      { namespace: t.namespace, subresource: 'scale' },
    )
    const suspended = await until(t.client, SANDBOXES, t.at('box'), (s) => reasonOf(s, 'Suspended') === 'PodTerminated')
    expect(suspended.spec).toMatchObject({ replicas: 0, operatingMode: 'Suspended' })
  })

  test('v1beta1: a typed client that drops replicas changes nothing; its operatingMode beside replicas does not either', async () => {
    await t.create(sandboxNamed('box', { replicas: 0 }))
    await until(
      t.client,
      SANDBOXES,
      t.at('box'),
      (s) => reasonOf(s) === 'SandboxSuspended' && s?.spec.operatingMode === 'Suspended',
    )
    await t.patch('box', { spec: { operatingMode: 'Running' } })
    await until(t.client, SANDBOXES, t.at('box'), (s) => s?.spec.operatingMode === 'Suspended')
    expect(await t.podExists('box')).toBe(false)

    // So that no status comes between the read and the update.
    await t.running.controllers.idle()
    const current = await t.client.get(SANDBOXES, 'box', { namespace: t.namespace })
    const { replicas: _replicas, ...spec } = current.spec
    await t.client.update(SANDBOXES, { ...current, spec }, { namespace: t.namespace })
    await until(
      t.client,
      SANDBOXES,
      t.at('box'),
      (s) => s?.status?.replicas === undefined && s?.spec.replicas === undefined,
    )
    await t.running.controllers.idle()
    expect(await t.podExists('box')).toBe(false)

    await t.patch('box', { spec: { operatingMode: 'Running' } })
    await t.untilPod('box')
  })
})
