/** Wires the SandboxSnapshot plan to caches. */
import type { Sandbox, SandboxSnapshot } from '@caisson/api'
import { type AnyObject, type Informer, joinKey, keyOf } from '@caisson/client'
import { createEngine, type Engine, type EngineOptions } from '../engine/engine.ts'
import type { Pod } from '../sandbox/objects.ts'
import type { SandboxCaches } from '../sandbox/sandbox-controller.ts'
import { type ObservedSnapshot, planSnapshot } from './plan-snapshot.ts'
import { BY_SANDBOX, BY_SNAPSHOT, fromSnapshotKey, type SnapshotCaches } from './snapshot-caches.ts'

export function startSnapshotController(
  { snapshots, nodes, sandboxes, pods }: SnapshotCaches & Pick<SandboxCaches, 'sandboxes' | 'pods'>,
  options: EngineOptions,
): AsyncDisposable & Pick<Engine, 'idle'> {
  const engine = createEngine<SandboxSnapshot, ObservedSnapshot>(
    {
      name: 'snapshot',
      informer: snapshots,
      others: [sandboxes, pods, nodes],
      observe(snapshot) {
        const { namespace } = snapshot.metadata
        const sandbox = sandboxes.get(joinKey(namespace, snapshot.spec.sandboxName))
        const users = sandboxes
          .byIndex(BY_SNAPSHOT, keyOf(snapshot))
          .filter(({ metadata }) => !metadata.deletionTimestamp)
        return {
          snapshot,
          sandbox,
          pods: sandbox ? podsOf(pods, sandbox) : [],
          users: users.map(({ metadata }) => metadata.name ?? ''),
          // Until it is read which there are, none is gone: nobody would take the files away.
          nodeExists: !nodes.health.synced || nodes.get(snapshot.status?.nodeName ?? '') !== undefined,
        }
      },
      plan: planSnapshot,
    },
    options,
  )
  const enqueue = (snapshot: SandboxSnapshot): void => engine.enqueue(keyOf(snapshot))
  const enqueueOf = (sandbox: AnyObject): void => {
    for (const snapshot of snapshots.byIndex(BY_SANDBOX, keyOf(sandbox))) enqueue(snapshot)
  }
  const released = (sandbox: Sandbox): void => {
    enqueueOf(sandbox)
    for (const key of fromSnapshotKey(sandbox)) if (snapshots.get(key)) engine.enqueue(key)
  }
  const handlers = [
    snapshots.handle({ added: enqueue, updated: (_old, snapshot) => enqueue(snapshot) }),
    sandboxes.handle({ added: enqueueOf, updated: (_old, sandbox) => released(sandbox), deleted: released }),
    // A Sandbox's Pod has its name, but for those that older controllers made.
    pods.handle({ added: enqueueOf, updated: (_old, pod) => enqueueOf(pod), deleted: enqueueOf }),
    nodes.handle({ deleted: () => snapshots.list().forEach(enqueue) }),
  ]
  nodes.synced().then(
    () => snapshots.list().forEach(enqueue),
    () => {},
  )
  return {
    idle: () => engine.idle(),
    async [Symbol.asyncDispose]() {
      for (const handler of handlers) handler[Symbol.dispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}

function podsOf(pods: Informer<Pod>, { metadata }: Sandbox): Pod[] {
  const pod = pods.get(joinKey(metadata.namespace, metadata.name ?? ''))
  return pod ? [pod] : []
}
