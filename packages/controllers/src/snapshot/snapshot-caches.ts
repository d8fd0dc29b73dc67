/** What is followed for snapshots, and by what it is found. */
import type { Sandbox, SandboxSnapshot } from '@caisson/api'
import { type AnyObject, type Informer, type Informers, joinKey, resources, sandboxSnapshots } from '@caisson/client'

export interface SnapshotCaches {
  snapshots: Informer<SandboxSnapshot>
  nodes: Informer<AnyObject>
}

/** Index of Sandboxes by the key of the snapshot that they are made from. */
export const BY_SNAPSHOT = 'fromSnapshot'
/** Index of snapshots by the key of the Sandbox that they name. */
export const BY_SANDBOX = 'sandboxName'

export function snapshotCaches(informers: Informers): SnapshotCaches {
  return {
    snapshots: informers.of(sandboxSnapshots, { indexers: { [BY_SANDBOX]: namedSandboxKey } }),
    nodes: informers.of<AnyObject>(resources.nodes),
  }
}

export function fromSnapshotKey({ metadata, ...object }: AnyObject): string[] {
  const name = (object as Partial<Sandbox>).spec?.fromSnapshot
  return name === undefined ? [] : [joinKey(metadata.namespace, name)]
}

function namedSandboxKey({ metadata, ...object }: AnyObject): string[] {
  const name = (object as Partial<SandboxSnapshot>).spec?.sandboxName
  return name === undefined ? [] : [joinKey(metadata.namespace, name)]
}
