/** What the monitor keeps in a container's directory: for the runtime, and for the monitor after it. */
import { closeSync, constants, ftruncateSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { ContainerState } from '../runtime.ts'
import type { Started, Supervision } from './protocol.ts'

/** How it is watched, and how it ended. */
export const SUPERVISION_FILE = 'supervision.json'
export const EXIT_FILE = 'exit.json'
/** A file that says that its memory was kept before it was killed. */
export const CHECKPOINTED_FILE = 'checkpointed'
/** Leads to the snapshot that it is restored from. */
export const IMAGE_LINK = 'image'

/** What is kept on disk, so that the next monitor can go on. */
export interface SupervisionRecord {
  supervision: Supervision
  /** Absent until the runtime has started it. */
  running?: RunningProcess
}

export interface RunningProcess extends Started {
  /** Tells the process from a later one with the same id. */
  startTime: string
  /** How often memory had run out in its control group before it began. */
  oomKills: number
}

export type Exited = Extract<ContainerState, { phase: 'exited' }>

export function writeRecord(record: SupervisionRecord): void {
  const path = join(record.supervision.directory, SUPERVISION_FILE)
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

/** More than a record of an end takes. */
const RESERVED = Buffer.alloc(4096)

/** A container ends also when the disk is full: whoever waits for its end must come to know it then. */
export function reserveExit(directory: string): void {
  writeFileSync(unwrittenExit(directory), RESERVED, { mode: 0o600 })
}

/** Where nothing was reserved, by an older monitor, it is written as if there were room. */
export function writeExit(directory: string, exited: Exited): void {
  const path = unwrittenExit(directory)
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600)
  try {
    ftruncateSync(descriptor, writeSync(descriptor, JSON.stringify(exited), 0))
  } finally {
    closeSync(descriptor)
  }
  renameSync(path, join(directory, EXIT_FILE))
}

function unwrittenExit(directory: string): string {
  return join(directory, `${EXIT_FILE}.new`)
}
