/**
 * How many bytes of snapshots each namespace has on this node. A status can say anything; what counts is what the node
 * wrote down beside the files that it made itself.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PodDirectories } from '../pod-directories.ts'

export interface SnapshotLedger {
  /** Bytes of the namespace's snapshots, those that are being made included. */
  used(namespace: string): number
  /** Undefined for files of which nothing was written down. */
  bytesOf(uid: string): number | undefined
  /** Writes down what a snapshot has, or is expected to have. Its directory has to be there. */
  enter(uid: string, entry: LedgerEntry): void
  /** Its files are gone. */
  forget(uid: string): void
}

export interface LedgerEntry {
  namespace: string
  bytes: number
}

const FILE = 'owner.json'

/** Reads what earlier agents wrote down. */
export function openSnapshotLedger(directories: Pick<PodDirectories, 'snapshots' | 'snapshot'>): SnapshotLedger {
  const entries = new Map<string, LedgerEntry>()
  for (const uid of readdirSync(directories.snapshots)) {
    const entry = readEntry(join(directories.snapshots, uid, FILE))
    if (entry) entries.set(uid, entry)
  }
  return {
    used(namespace) {
      let sum = 0
      for (const entry of entries.values()) if (entry.namespace === namespace) sum += entry.bytes
      return sum
    },
    bytesOf: (uid) => entries.get(uid)?.bytes,
    enter(uid, entry) {
      writeFileSync(join(directories.snapshot(uid), FILE), JSON.stringify(entry), { mode: 0o600 })
      entries.set(uid, entry)
    },
    forget: (uid) => void entries.delete(uid),
  }
}

function readEntry(path: string): LedgerEntry | undefined {
  try {
    const { namespace, bytes } = JSON.parse(readFileSync(path, 'utf8')) as Partial<LedgerEntry>
    return typeof namespace === 'string' && typeof bytes === 'number' && bytes >= 0 ? { namespace, bytes } : undefined
  } catch {
    // Cut off while it was written, or of an older version: measured anew.
    return undefined
  }
}
