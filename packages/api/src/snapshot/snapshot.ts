/** SandboxSnapshot: memory, processes and writable files of a running Sandbox, from which others can go on. */
import type { z } from 'zod'
import type { KubeObject } from '../object.ts'
import type * as schema from './snapshot-schema.ts'

export type SandboxSnapshotSpec = z.input<typeof schema.snapshotSpec>
export type SandboxSnapshotStatus = z.input<typeof schema.snapshotStatus>

export interface SandboxSnapshot extends KubeObject {
  kind: 'SandboxSnapshot'
  spec: SandboxSnapshotSpec
  status?: SandboxSnapshotStatus
}

/** Reasons of the condition Ready. */
export const SNAPSHOT_REASONS = {
  /** True. */
  taken: 'Taken',
  /** It is not yet decided, or being made. */
  sandboxNotFound: 'SandboxNotFound',
  sandboxNotRunning: 'SandboxNotRunning',
  taking: 'Taking',
  /** For good. */
  sandboxGone: 'SandboxGone',
  notSupported: 'NotSupported',
  diskFull: 'DiskFull',
  quotaExceeded: 'QuotaExceeded',
  checkpointFailed: 'CheckpointFailed',
  /** Its files are not there any more, or are not what was written. */
  damaged: 'Damaged',
} as const

const UNDECIDED: ReadonlySet<string> = new Set([
  SNAPSHOT_REASONS.sandboxNotFound,
  SNAPSHOT_REASONS.sandboxNotRunning,
  SNAPSHOT_REASONS.taking,
])

/** Whether nothing will come of it any more. */
export function hasSnapshotFailed({ status }: SandboxSnapshot): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  return ready?.status === 'False' && !UNDECIDED.has(ready.reason)
}

export const SNAPSHOT_FINALIZERS = {
  /** Taken away by the controller once no Sandbox is to be made from it. */
  inUse: 'caisson.dev/snapshot-in-use',
  /** Taken away by the node once the files are gone. */
  files: 'caisson.dev/snapshot-files',
} as const

/** On Pods: the name of the snapshot of the same namespace that their container begins with. */
export const SNAPSHOT_ANNOTATION = 'caisson.dev/snapshot'
