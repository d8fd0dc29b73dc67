/** Carries out what the ownership graph decides. */
import { setImmediate } from 'node:timers/promises'
import type { KubeObject, OwnerReference } from '@caisson/api'
import { type Client, isConflict, isNotFound } from '@caisson/client'
import type { ObjectWatcher } from './object-watcher.ts'
import type { Node, OwnershipGraph } from './ownership-graph.ts'

/** Owners that are looked up between two turns of the event loop. */
const OWNERS_AT_A_TIME = 50

export interface CollectorContext {
  client: Client
  watcher: ObjectWatcher
  graph: OwnershipGraph
  signal: AbortSignal
}

/**
 * Decides about one object again and does what follows. Rejects where the API server refused: the caller comes back.
 * Everything is guarded by UID and version: an object that took the name of another, or that has been given another owner
 * meanwhile, is never touched.
 */
export async function collect(uid: string, context: CollectorContext): Promise<void> {
  const { client, graph, signal } = context
  const node = graph.get(uid)
  // As it is before anything is waited for: with other owners it is another version, which no write here touches.
  const object = node && current(node, context)
  const decision = graph.decide(uid, node && (await livingOwners(node, context)))
  switch (decision.kind) {
    case 'nothing':
      return
    case 'delete':
      return object && remove(decision.node, { object, propagationPolicy: decision.propagation }, context)
    case 'drop-owners':
      return object && dropOwners(decision.node, { object, uids: new Set(decision.uids) }, context)
    case 'delete-dependents':
      // Each by itself: one with another owner stays, and only lets go of this one.
      await Promise.all(decision.dependents.map((dependent) => collect(dependent.uid, context)))
      return
    case 'orphan-dependents': {
      const uids = new Set([uid])
      await Promise.all(
        decision.dependents.map(async (dependent) => {
          const found = current(dependent, context)
          if (found) await dropOwners(dependent, { object: found, uids }, context)
        }),
      )
      return
    }
    case 'unblock-owners':
      return object && unblockOwners(decision.node, object, context)
    case 'remove-finalizer': {
      const resource = context.watcher.kinds.get(decision.node.resource)
      if (!object || !resource) return
      const finalizers = (object.metadata.finalizers ?? []).filter((finalizer) => finalizer !== decision.finalizer)
      await unlessGone(
        client.patch(
          resource,
          decision.node.name,
          { metadata: { ...guard(object), finalizers } },
          at(decision.node, signal),
        ),
      )
    }
  }
}

function at(node: Node, signal: AbortSignal): { namespace?: string; signal: AbortSignal } {
  return { ...(node.namespace && { namespace: node.namespace }), signal }
}

/** With uid and version a patch changes this very state of this very object, or nothing. */
function guard(object: KubeObject): { uid: string; resourceVersion: string } {
  return { uid: object.metadata.uid ?? '', resourceVersion: object.metadata.resourceVersion ?? '' }
}

function current(node: Node, { watcher }: CollectorContext): KubeObject | undefined {
  const object = watcher.get(node.resource, node.namespace, node.name)
  return object?.metadata.uid === node.uid ? object : undefined
}

/** The graph may be behind: of owners that it has not seen, UIDs of those that the API server has. */
async function livingOwners(node: Node, context: CollectorContext): Promise<ReadonlySet<string>> {
  const unseen = context.graph.unseenOwners(node.uid)
  const alive = new Set<string>()
  for (let from = 0; from < unseen.length; from += OWNERS_AT_A_TIME) {
    // An object may name thousands, and the API server of this process may answer at once.
    if (from > 0) await setImmediate()
    const some = unseen.slice(from, from + OWNERS_AT_A_TIME)
    const lives = await Promise.all(some.map((owner) => ownerLives(node, owner, context)))
    for (const [index, { uid }] of some.entries()) if (lives[index]) alive.add(uid)
  }
  return alive
}

async function ownerLives(
  node: Node,
  owner: OwnerReference,
  { client, watcher, signal }: CollectorContext,
): Promise<boolean> {
  const name = watcher.nameOf(owner.apiVersion, owner.kind)
  const resource = name === undefined ? undefined : watcher.kinds.get(name)
  if (!resource) return true
  try {
    const found = await client.get(resource, owner.name, {
      ...(resource.namespaced && { namespace: node.namespace }),
      signal,
    })
    return found.metadata.uid === owner.uid
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
}

async function remove(
  node: Node,
  { object, propagationPolicy }: { object: KubeObject; propagationPolicy: 'Background' | 'Foreground' | 'Orphan' },
  { client, watcher, signal }: CollectorContext,
): Promise<void> {
  const resource = watcher.kinds.get(node.resource)
  if (resource) {
    const preconditions = guard(object)
    await unlessGone(client.delete(resource, node.name, { ...at(node, signal), propagationPolicy, preconditions }))
  }
}

function dropOwners(
  node: Node,
  { object, uids }: { object: KubeObject; uids: ReadonlySet<string> },
  context: CollectorContext,
): Promise<void> {
  const owners = object.metadata.ownerReferences ?? []
  return setOwners(node, { object, owners: owners.filter((owner) => !uids.has(owner.uid)) }, context)
}

function unblockOwners(node: Node, object: KubeObject, context: CollectorContext): Promise<void> {
  const owners = object.metadata.ownerReferences ?? []
  return setOwners(node, { object, owners: owners.map((each) => ({ ...each, blockOwnerDeletion: false })) }, context)
}

async function setOwners(
  node: Node,
  { object, owners: ownerReferences }: { object: KubeObject; owners: readonly OwnerReference[] },
  { client, watcher, signal }: CollectorContext,
): Promise<void> {
  const resource = watcher.kinds.get(node.resource)
  if (!resource) return
  const body = { metadata: { ...guard(object), ownerReferences } }
  await unlessGone(client.patch(resource, node.name, body, at(node, signal)))
}

/** Gone, or already another: either way there is nothing left to do here, and the watch will say so. */
async function unlessGone(write: Promise<unknown>): Promise<void> {
  try {
    await write
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
  }
}
