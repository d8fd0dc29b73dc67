/** Controllers that begin to work before they have read which nodes and which snapshots there are. */
import { type Sandbox, type SandboxSnapshot, SNAPSHOT_FINALIZERS, sandboxCrd, snapshotCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type ApiRequest, resources, sandboxSnapshots, type Transport } from '@caisson/client'
import { beforeEach, expect, test } from 'vitest'
import { PODS, SANDBOXES } from '../sandbox/objects.ts'
import { runControllers, sandboxNamed, until } from '../testing/test-cluster.ts'
import { useNamespace } from '../testing/test-namespace.ts'

const t = useNamespace(apiserver, [sandboxCrd(), snapshotCrd()])
beforeEach(() => t.running[Symbol.asyncDispose]())

/** Objects of a kind are not told of until they are let go. */
function holdBack(plural: string): { transport: Transport; letGo(): void } {
  const { transport } = t.cluster
  const { promise: gone, resolve: letGo } = Promise.withResolvers<void>()
  return {
    letGo,
    transport: {
      ...transport,
      async *watch(asked: ApiRequest) {
        asked.signal?.addEventListener('abort', () => letGo())
        if (asked.path.endsWith(`/${plural}`)) await gone
        yield* transport.watch(asked)
      },
    },
  }
}

async function aTakenSnapshot(
  name: string,
  { nodeName, metadata = {} }: { nodeName: string; metadata?: Partial<SandboxSnapshot['metadata']> },
): Promise<void> {
  const finalizers = Object.values(SNAPSHOT_FINALIZERS)
  const at = { namespace: t.namespace }
  await t.client.create(
    sandboxSnapshots,
    { metadata: { name, finalizers, ...metadata }, spec: { sandboxName: 'box' } },
    at,
  )
  const lastTransitionTime = '2026-01-01T00:00:00Z'
  const conditions = [{ type: 'Ready', status: 'True' as const, reason: 'Taken', message: '', lastTransitionTime }]
  await t.client.patchStatus(sandboxSnapshots, name, { status: { nodeName, podUID: 'before', conditions } }, at)
}

/** Its controllers do not know yet which nodes there are; gives its finalizers by then. */
async function deletedSnapshot(nodeName: string, whenKnown: () => Promise<unknown>): Promise<string[] | undefined> {
  await aTakenSnapshot('kept', { nodeName })
  await t.client.delete(sandboxSnapshots, 'kept', { namespace: t.namespace })
  const { transport, letGo } = holdBack('nodes')
  await using running = await runControllers({ ...t.cluster, transport }, t.namespace)
  const { inUse } = SNAPSHOT_FINALIZERS
  await untilKept((snapshot) => !snapshot?.metadata.finalizers?.includes(inUse))
  await running.controllers.idle()
  const { metadata } = await t.client.get(sandboxSnapshots, 'kept', { namespace: t.namespace })
  letGo()
  await whenKnown()
  await running.controllers.idle()
  return metadata.finalizers
}

const untilKept = (holds: (snapshot: SandboxSnapshot | undefined) => boolean) =>
  until(t.client, sandboxSnapshots, { namespace: t.namespace, name: 'kept' }, holds)

test('a deleted snapshot stays until its node has taken its files away', async () => {
  const nodeName = `node-${t.namespace}`
  await t.client.create(resources.nodes, { metadata: { name: nodeName } })
  const settled = () => new Promise(setImmediate)
  expect(await deletedSnapshot(nodeName, settled)).toEqual([SNAPSHOT_FINALIZERS.files])
  const { metadata } = await t.client.get(sandboxSnapshots, 'kept', { namespace: t.namespace })
  expect(metadata.finalizers).toEqual([SNAPSHOT_FINALIZERS.files])
  await t.client.patch(sandboxSnapshots, 'kept', { metadata: { finalizers: null } }, { namespace: t.namespace })
  await t.client.delete(resources.nodes, nodeName)
})

test('a deleted snapshot whose node is gone goes', async () => {
  const gone = () => untilKept((snapshot) => snapshot === undefined)
  expect(await deletedSnapshot('gone', gone)).toEqual([SNAPSHOT_FINALIZERS.files])
})

test('a Sandbox that slept goes on with its memory', async () => {
  const { metadata } = await t.client.create(
    SANDBOXES,
    sandboxNamed('box', { suspension: { memory: 'Keep' } } as Partial<Sandbox['spec']>),
    { namespace: t.namespace },
  )
  const { apiVersion, kind } = SANDBOXES
  const owner = { apiVersion, kind, name: 'box', uid: metadata.uid ?? '', controller: true }
  await aTakenSnapshot('box.memory', { nodeName: 'some', metadata: { ownerReferences: [owner] } })
  const { transport, letGo } = holdBack('sandboxsnapshots')
  await using running = await runControllers({ ...t.cluster, transport }, t.namespace)
  await running.controllers.idle()
  expect(running.writes).not.toContain('POST pods')
  letGo()
  const pod = await until(t.client, PODS, { namespace: t.namespace, name: 'box' }, (pod) => pod !== undefined)
  expect(pod.metadata.annotations?.['caisson.dev/snapshot']).toBe('box.memory')
})
