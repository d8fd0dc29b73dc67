/** A Sandbox that falls asleep and is woken, with everything but a kubelet. */
import { isSuspendedForIdleness, type Sandbox } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type Client, createInformers, createSandboxWaker } from '@caisson/client'
import { expect, test } from 'vitest'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import {
  installCrd,
  podBecomes,
  podEnds,
  READY_STATUS,
  runControllers,
  sandboxNamed,
  until,
} from '../testing/test-cluster.ts'
import { createNamespace } from '../testing/test-namespace.ts'
import { PODS, SANDBOXES } from './objects.ts'

const namespace = 'idle'
const IDLE = { type: 'caisson.dev/Idle', status: 'True', reason: 'Idle', message: 'Nothing has happened since then' }

async function fallAsleep(client: Client, name: string): Promise<void> {
  const at = { namespace, name }
  const conditions = [...(READY_STATUS.conditions ?? []), IDLE]
  await podBecomes(client, at, { ...READY_STATUS, conditions })
  await until(client, PODS, at, (pod) => pod?.metadata.deletionTimestamp !== undefined || pod === undefined)
  await podEnds(client, at).catch(() => undefined)
  await until(client, SANDBOXES, at, (sandbox) => sandbox !== undefined && isSuspendedForIdleness(sandbox))
}

test('falls asleep once its Pod is idle, and is woken once for all who knock', async () => {
  await using cluster = await startEmbeddedCluster(apiserver)
  const { client } = cluster
  await installCrd(client)
  await createNamespace(client, namespace)
  await using running = await runControllers(cluster, namespace)
  await using informers = createInformers(client)
  const informer = informers.of<Sandbox>(SANDBOXES)
  await informers.synced()
  const waker = createSandboxWaker({ client, informer, patienceMs: 2_000 })
  const { signal } = new AbortController()

  await client.create(SANDBOXES, sandboxNamed('box', { idleSuspension: { afterSeconds: 60 } }), { namespace })
  await podBecomes(client, { namespace, name: 'box' }, READY_STATUS)
  const { metadata } = await client.get(PODS, 'box', { namespace })
  expect(metadata.annotations).toEqual({ 'caisson.dev/idle-after-seconds': '60' })
  expect(waker.wake({ namespace, name: 'box' }, signal)).toBeUndefined()
  expect(waker.wake({ namespace, name: 'nobody' }, signal)).toBeUndefined()
  await fallAsleep(client, 'box')
  await expect
    .poll(() => running.events.map(({ reason, message }) => `${reason}: ${message}`))
    .toContain('Idle: Nothing happened for 60 s')
  await expect.poll(() => informer.get('idle/box')?.spec.operatingMode).toBe('Suspended')

  const woken = [1, 2, 3].map(async () => waker.wake({ namespace, name: 'box' }, signal))
  await podBecomes(client, { namespace, name: 'box' }, READY_STATUS)
  expect(await Promise.all(woken)).toEqual([undefined, undefined, undefined])
  const awake = await client.get(SANDBOXES, 'box', { namespace })
  expect([awake.spec.operatingMode, awake.metadata.annotations ?? {}]).toEqual(['Running', {}])

  // What does not come to run is not waited for for ever, and who has gone not at all.
  await fallAsleep(client, 'box')
  const impatient = new AbortController()
  const given = waker.wake({ namespace, name: 'box' }, impatient.signal)
  impatient.abort(new Error('gone'))
  await expect(given).rejects.toThrow('gone')
  await expect(waker.wake({ namespace, name: 'box' }, signal)).rejects.toThrow(
    /^Sandbox idle\/box was woken and is not Ready within 2 s: Pod (does not exist|exists with phase: Pending)$/,
  )
  expect(running.errors).toEqual([])
})
