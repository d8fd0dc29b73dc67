/** The snapshots that Pods of this node can begin with, and where their files are. */
import { join } from 'node:path'
import { findCondition, type SandboxSnapshot } from '@caisson/api'
import type { Informer } from '@caisson/client'
import type { PodDirectories } from '../pod-directories.ts'

export interface FoundSnapshot {
  /** Of the runtime's files. */
  memory: string
  /** Of the Pod's volumes; may not be there. */
  volumes: string
  /** Of nothing: it says that the source has ended with the snapshot, and nowhere else gone on. */
  ended: string
}

/** A sentence says why there is none. */
export type FindSnapshot = (namespace: string, name: string) => FoundSnapshot | string

export interface SnapshotFinderOptions {
  informer: Pick<Informer<SandboxSnapshot>, 'get'>
  directories: PodDirectories
  nodeName: string
}

export function snapshotFinder({ informer, directories, nodeName }: SnapshotFinderOptions): FindSnapshot {
  return (namespace, name) => {
    const snapshot = informer.get(`${namespace}/${name}`)
    if (!snapshot) return `there is no SandboxSnapshot ${name} in namespace ${namespace}`
    if (snapshot.status?.nodeName !== undefined && snapshot.status.nodeName !== nodeName)
      return `SandboxSnapshot ${name} is on node ${snapshot.status.nodeName}, the Pod on ${nodeName}`
    const ready = findCondition(snapshot.status?.conditions, 'Ready')
    if (ready?.status !== 'True')
      return `SandboxSnapshot ${name} is not Ready: ${ready?.message ?? 'nobody has looked at it yet'}`
    return snapshotFiles(directories, snapshot)
  }
}

export function snapshotFiles(directories: PodDirectories, { metadata }: SandboxSnapshot): FoundSnapshot {
  const directory = directories.snapshot(metadata.uid ?? '')
  return { memory: join(directory, 'memory'), volumes: join(directory, 'volumes'), ended: join(directory, 'ended') }
}
