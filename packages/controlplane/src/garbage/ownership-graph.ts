/**
 * Who owns whom, over every object of the cluster, and what follows from it when an owner goes.
 *
 * Pure: objects come in as events, decisions come out as data. Identity is the UID, never the name. Follows the rules of
 * Kubernetes' garbage collector: background, foreground and orphaning deletion. It differs in one: an object of another
 * namespace, which anybody who reads a UID may make, neither is waited for nor is let go.
 */
import type { KubeObject, OwnerReference } from '@caisson/api'

/** Group and plural: `pods`, `sandboxes.agents.x-k8s.io`. */
export type ResourceName = string

export interface Node {
  resource: ResourceName
  uid: string
  name: string
  /** Empty for cluster-scoped objects. */
  namespace: string
  owners: readonly OwnerReference[]
  deleting: boolean
  finalizers: readonly string[]
}

export type Decision =
  | { kind: 'nothing' }
  /** No owner is left: delete it, in this way. */
  | { kind: 'delete'; node: Node; propagation: 'Background' | 'Foreground' | 'Orphan' }
  /** Some owners are left and some are gone: only the references to these go. */
  | { kind: 'drop-owners'; node: Node; uids: string[] }
  /** It waits for its dependents: these are to be deleted first. */
  | { kind: 'delete-dependents'; node: Node; dependents: Node[] }
  /** Nothing blocks it any more, or its dependents have been let go. */
  | { kind: 'remove-finalizer'; node: Node; finalizer: 'foregroundDeletion' | 'orphan' }
  /** What waits for it is, through others, what it waits for itself: none of its owners is to wait for it any more. */
  | { kind: 'unblock-owners'; node: Node }
  /** Its dependents lose their reference to it; then its finalizer goes. */
  | { kind: 'orphan-dependents'; node: Node; dependents: Node[] }

const NONE: readonly OwnerReference[] = []
const NOBODY: ReadonlySet<string> = new Set()

export interface OwnershipGraph {
  /** Takes in an object as it is now; returns the UIDs that should be decided again. */
  observe(resource: ResourceName, object: KubeObject): string[]
  /** The object is gone; returns the UIDs that should be decided again. */
  forget(uid: string): string[]
  /** Owners of a living object that count as gone for not having been seen. */
  unseenOwners(uid: string): readonly OwnerReference[]
  /** @param alive UIDs of owners that have been found to be there, seen or not */
  decide(uid: string, alive?: ReadonlySet<string>): Decision
  /** Objects of one namespace that still exist. */
  inNamespace(namespace: string): Node[]
  get(uid: string): Node | undefined
}

/** Where the objects of an owner's kind are; undefined of a kind that is not watched. */
export type ScopeOf = (owner: OwnerReference) => 'Namespaced' | 'Cluster' | undefined

/**
 * @param scopeOf an owner that is not in the graph counts as there if its kind is not watched: it may only not have been
 * seen
 */
export function createOwnershipGraph(scopeOf: ScopeOf): OwnershipGraph {
  const nodes = new Map<string, Node>()
  const dependents = new Map<string, Set<string>>()
  const byNamespace = new Map<string, Set<string>>()

  function unlink(node: Node): void {
    for (const owner of node.owners) {
      const set = dependents.get(owner.uid)
      set?.delete(node.uid)
      if (set?.size === 0) dependents.delete(owner.uid)
    }
  }

  /** A namespaced owner owns only in its own namespace; anything else is no owner (Kubernetes 1.20 on). */
  function owns(owner: Node, node: Node): boolean {
    return owner.namespace === '' || owner.namespace === node.namespace
  }

  function dependentsOf(node: Node): Node[] {
    return [...(dependents.get(node.uid) ?? [])]
      .flatMap((dependent) => nodes.get(dependent) ?? [])
      .filter((dependent) => owns(node, dependent))
  }

  function ownerNode(node: Node, owner: OwnerReference): Node | undefined {
    const found = nodes.get(owner.uid)
    return found && owns(found, node) ? found : undefined
  }

  /** In no namespace a namespaced owner could be looked for: Kubernetes leaves all of the object as it is. */
  function isBeyondReach(node: Node): boolean {
    return node.namespace === '' && node.owners.some((owner) => scopeOf(owner) === 'Namespaced')
  }

  function decideLiving(node: Node, alive: ReadonlySet<string>): Decision {
    if (node.owners.length === 0 || isBeyondReach(node)) return { kind: 'nothing' }
    const states = node.owners.map((owner) => {
      const found = ownerNode(node, owner)
      if (!found) return scopeOf(owner) && !alive.has(owner.uid) ? ('gone' as const) : ('solid' as const)
      return found.deleting && found.finalizers.includes('foregroundDeletion') && owner.blockOwnerDeletion
        ? ('waiting' as const)
        : ('solid' as const)
    })
    if (states.includes('solid')) {
      const uids = node.owners.filter((_, index) => states[index] !== 'solid').map((owner) => owner.uid)
      return uids.length === 0 ? { kind: 'nothing' } : { kind: 'drop-owners', node, uids }
    }
    if (states.includes('waiting') && dependentsOf(node).length > 0)
      return { kind: 'delete', node, propagation: 'Foreground' }
    if (node.finalizers.includes('orphan')) return { kind: 'delete', node, propagation: 'Orphan' }
    if (node.finalizers.includes('foregroundDeletion')) return { kind: 'delete', node, propagation: 'Foreground' }
    return { kind: 'delete', node, propagation: 'Background' }
  }

  function decideDeleting(node: Node): Decision {
    const below = dependentsOf(node)
    if (node.finalizers.includes('orphan')) {
      return below.length > 0
        ? { kind: 'orphan-dependents', node, dependents: below }
        : { kind: 'remove-finalizer', node, finalizer: 'orphan' }
    }
    if (!node.finalizers.includes('foregroundDeletion')) return { kind: 'nothing' }
    const blocking = below.filter((one) =>
      one.owners.some((owner) => owner.uid === node.uid && owner.blockOwnerDeletion),
    )
    if (blocking.length === 0) return { kind: 'remove-finalizer', node, finalizer: 'foregroundDeletion' }
    const left = blocking.filter((one) => !one.deleting)
    if (left.length > 0) return { kind: 'delete-dependents', node, dependents: left }
    return waitsForItself(node) ? { kind: 'unblock-owners', node } : { kind: 'nothing' }
  }

  /** Looked for upwards: owners are few, dependents may be thousands. */
  function waitsForItself(node: Node): boolean {
    const waiting = new Set([node])
    for (const each of waiting)
      for (const owner of each.owners) {
        const found = owner.blockOwnerDeletion ? ownerNode(each, owner) : undefined
        if (!found?.deleting || !found.finalizers.includes('foregroundDeletion')) continue
        if (found === node) return true
        waiting.add(found)
      }
    return false
  }

  return {
    observe(resource, object) {
      const { uid, name, namespace, ownerReferences, deletionTimestamp, finalizers } = object.metadata
      if (!uid || !name) return []
      const before = nodes.get(uid)
      const node: Node = {
        resource,
        uid,
        name,
        namespace: namespace ?? '',
        owners: ownerReferences ?? NONE,
        deleting: deletionTimestamp !== undefined,
        finalizers: finalizers ?? [],
      }
      // Most changes are of something else. (The API server of this process shares what a change leaves as it was.)
      const alike = before?.owners === node.owners && !before.deleting && !node.deleting
      // An owner that goes may wait for what a conflict kept from being done here.
      if (alike && node.owners.every((owner) => nodes.get(owner.uid)?.deleting === false)) {
        nodes.set(uid, node)
        return []
      }
      if (before) unlink(before)
      nodes.set(uid, node)
      for (const owner of node.owners) {
        const set = dependents.get(owner.uid) ?? new Set()
        dependents.set(owner.uid, set.add(uid))
      }
      const set = byNamespace.get(node.namespace) ?? new Set()
      byNamespace.set(node.namespace, set.add(uid))
      const again = new Set<string>()
      if (node.owners.length > 0 || node.deleting) again.add(uid)
      // Whoever waited for this one, or for its reference to go, may be done waiting.
      for (const owner of [...(before?.owners ?? []), ...node.owners])
        if (nodes.get(owner.uid)?.deleting) again.add(owner.uid)
      if (node.deleting && !before?.deleting) for (const dependent of dependents.get(uid) ?? []) again.add(dependent)
      return [...again]
    },
    forget(uid) {
      const node = nodes.get(uid)
      if (!node) return []
      unlink(node)
      nodes.delete(uid)
      const set = byNamespace.get(node.namespace)
      set?.delete(uid)
      if (set?.size === 0) byNamespace.delete(node.namespace)
      const waiting = node.owners.map((owner) => owner.uid).filter((owner) => nodes.get(owner)?.deleting)
      return [...(dependents.get(uid) ?? []), ...waiting]
    },
    unseenOwners(uid) {
      const node = nodes.get(uid)
      if (!node || node.deleting || isBeyondReach(node)) return NONE
      return node.owners.filter((owner) => !ownerNode(node, owner) && scopeOf(owner))
    },
    decide(uid, alive = NOBODY) {
      const node = nodes.get(uid)
      if (!node) return { kind: 'nothing' }
      return node.deleting ? decideDeleting(node) : decideLiving(node, alive)
    },
    inNamespace: (namespace) => [...(byNamespace.get(namespace) ?? [])].flatMap((uid) => nodes.get(uid) ?? []),
    get: (uid) => nodes.get(uid),
  }
}
