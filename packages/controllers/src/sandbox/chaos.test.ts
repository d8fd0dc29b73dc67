import { type Sandbox, snapshotCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type AnyObject, type Client, createInformers, isConflict, isNotFound, joinKey, keyOf } from '@caisson/client'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sameJson } from '../engine/json-difference.ts'
import { snapshotCaches } from '../snapshot/snapshot-caches.ts'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import { startGarbageCollector } from '../testing/garbage-collector.ts'
import { installCrd, runControllers, sandboxNamed, startTestNode } from '../testing/test-cluster.ts'
import { createNamespace, namespaceName } from '../testing/test-namespace.ts'
import { PODS, type Pod, SANDBOXES, SERVICES } from './objects.ts'
import { operatingModeOf } from './observed-sandbox.ts'
import { planSandbox } from './plan-sandbox.ts'
import { observeSandbox, sandboxCaches } from './sandbox-controller.ts'

const NAMES = ['a', 'b', 'c', 'd', 'e']
const namespace = namespaceName()

type Step =
  | { name: string; what: 'create' | 'delete' | 'suspend' | 'resume' | 'scale' | 'serve' | 'label' | 'lose' }
  | { name: ''; what: 'restart' }

const name = fc.constantFrom(...NAMES)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      name,
      what: fc.constantFrom('create', 'delete', 'suspend', 'resume', 'scale', 'serve', 'label', 'lose'),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ name: '', what: 'restart' }) },
)

async function take(client: Client, { name, what }: Step): Promise<void> {
  const patch = (body: object) => client.patch(SANDBOXES, name, body, { namespace })
  if (what === 'create') await client.create(SANDBOXES, sandboxNamed(name), { namespace })
  if (what === 'delete') await client.delete(SANDBOXES, name, { namespace })
  if (what === 'suspend') await patch({ spec: { operatingMode: 'Suspended' } })
  if (what === 'resume') await patch({ spec: { operatingMode: 'Running', replicas: null } })
  if (what === 'scale') await patch({ spec: { replicas: 0 } })
  if (what === 'serve') await patch({ spec: { service: true } })
  if (what === 'label')
    await patch({ spec: { podTemplate: { metadata: { labels: { at: String(performance.now()) } } } } })
  if (what === 'lose') await client.delete(PODS, name, { namespace, gracePeriodSeconds: 0 })
}

test('whatever happens in whatever order, with the controllers ended and started anywhere, it comes to rest where it should', async () => {
  await using cluster = await startEmbeddedCluster(apiserver)
  const { client } = cluster
  await installCrd(client)
  await installCrd(client, snapshotCrd())
  await createNamespace(client, namespace)
  await using informers = createInformers(client, { namespaces: [namespace] })
  const caches = { ...sandboxCaches(informers), ...snapshotCaches(informers) }
  await informers.synced()

  await using _node = await startTestNode(client, namespace)
  await using _garbage = await startGarbageCollector(client, namespace, [SANDBOXES, PODS, SERVICES])

  let running = await runControllers(cluster, namespace)
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        for (const each of steps) {
          if (each.what === 'restart') {
            await running[Symbol.asyncDispose]()
            running = await runControllers(cluster, namespace)
          } else await ignoreGone(take(client, each))
        }
        await rest()
        // The Pod of a Sandbox that had the name before stands in the way until it is collected.
        expect(running.errors.filter((error) => !/is owned by Sandbox\/. /.test(error))).toEqual([])
      }),
      { numRuns: 25 },
    )
  } finally {
    await running[Symbol.asyncDispose]()
  }

  /** Waits until every plan, made from all that the server says, asks for nothing, and then looks at what there is. */
  async function rest(): Promise<void> {
    let changed = Promise.withResolvers<void>()
    const look = () => changed.resolve()
    const watching = [caches.sandboxes, caches.pods, caches.services].map((informer) =>
      informer.handle({ added: look, updated: look, deleted: look }),
    )
    const timer = setTimeout(() => {
      const restless = caches.sandboxes.list().filter((sandbox) => !isAtRest(sandbox))
      changed.reject(
        new Error(`no rest: ${JSON.stringify({ restless, pods: caches.pods.list(), errors: running.errors })}`),
      )
    }, 10_000)
    try {
      while (!(await isKnown()) || !caches.sandboxes.list().every(isAtRest) || !caches.pods.list().every(isSettled)) {
        await changed.promise
        changed = Promise.withResolvers<void>()
      }
    } finally {
      clearTimeout(timer)
      for (const handler of watching) handler[Symbol.dispose]()
    }
    for (const sandbox of caches.sandboxes.list()) {
      const pod = caches.pods.get(keyOf(sandbox))
      expect([keyOf(sandbox), pod !== undefined]).toEqual([keyOf(sandbox), operatingModeOf(sandbox) === 'Running'])
      expect(caches.services.get(keyOf(sandbox)) !== undefined).toBe(sandbox.spec.service === true)
    }
    await running.controllers.idle()
  }

  /** The caches have what the server has: they hear of a step a little later than who took it. */
  async function isKnown(): Promise<boolean> {
    const states = (objects: readonly AnyObject[]) =>
      objects.map((object) => `${keyOf(object)} ${object.metadata.uid} ${object.metadata.resourceVersion}`).sort()
    const stored = await Promise.all(
      [SANDBOXES, PODS, SERVICES].map(async (kind) =>
        states((await client.list<AnyObject>(kind, { namespace })).items),
      ),
    )
    return sameJson(
      stored,
      [caches.sandboxes, caches.pods, caches.services].map((informer) =>
        states(informer.list().filter(({ metadata }) => metadata.namespace === namespace)),
      ),
    )
  }

  function isAtRest(sandbox: Sandbox): boolean {
    const plan = planSandbox(observeSandbox(caches, sandbox, []), Date.now(), { clusterDomain: 'cluster.local' })
    return plan.writes.length === 0 && sameJson(plan.status, sandbox.status)
  }

  /** Runs, for a Sandbox that is there. */
  function isSettled(pod: Pod): boolean {
    const [owner] = pod.metadata.ownerReferences ?? []
    const sandbox = caches.sandboxes.get(joinKey(namespace, owner?.name ?? ''))
    return pod.status?.phase === 'Running' && sandbox?.metadata.uid === owner?.uid
  }
})

/** The step came too late, or too early. */
async function ignoreGone(call: Promise<unknown>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (
      !isNotFound(error) &&
      !isConflict(error) &&
      !(error instanceof Error && error.message.includes('already exists'))
    )
      throw error
  }
}
