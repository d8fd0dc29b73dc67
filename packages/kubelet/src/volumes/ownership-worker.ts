/** A worker thread that gives one volume to a group: system calls alone, file after file, which keep nobody else waiting. */
import { closeSync, constants, fstatSync, lchownSync, opendirSync, openSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { noSuchOwner, ownSync } from './own.ts'

const O_PATH = 0x200000
const SETGID = 0o2000
/** Each level is two open files; what is nested deeper was made to exhaust them. */
const DEPTH_LIMIT = 500

export interface OwnershipRequest {
  directory: string
  group: number
  readOnly: boolean
  /** Leave everything alone where the top already is as it should be. */
  onlyOnMismatch: boolean
}

/** With why it was given up. */
export interface OwnershipAnswer {
  failure?: string
}

const { directory, group, readOnly, onlyOnMismatch } = workerData as OwnershipRequest

parentPort?.postMessage(answer())

function answer(): OwnershipAnswer {
  try {
    give()
    return {}
  } catch (error) {
    return { failure: (error as Error).message }
  }
}

/** Another Pod may be using the volume meanwhile, so this goes by open directories and follows no link. */
function give(): void {
  const root = openSync(directory, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    const { gid, mode } = fstatSync(root)
    if (onlyOnMismatch && gid === group && mode === (mode | groupBits(true))) return
    change(root, 0)
  } finally {
    closeSync(root)
  }
}

function change(directory: number, depth: number): void {
  if (depth > DEPTH_LIMIT) throw new Error(`the volume's directories are nested deeper than ${DEPTH_LIMIT}`)
  const self = `/proc/self/fd/${directory}`
  const { uid, mode } = fstatSync(directory)
  // Children first, as kubelet does: an agent that is killed half-way finds the top unchanged and begins again.
  const entries = opendirSync(self)
  try {
    for (let entry = entries.readSync(); entry; entry = entries.readSync()) changeEntry(`${self}/${entry.name}`, depth)
  } finally {
    entries.closeSync()
  }
  set(self, { uid, mode, isDirectory: true })
}

function changeEntry(path: string, depth: number): void {
  const entry = openUnlessGone(path)
  if (entry === undefined) return
  try {
    const found = fstatSync(entry)
    if (found.isDirectory()) change(entry, depth + 1)
    else if (found.isSymbolicLink()) giveLink(path, found.uid)
    else set(`/proc/self/fd/${entry}`, { uid: found.uid, mode: found.mode, isDirectory: false })
  } finally {
    closeSync(entry)
  }
}

function openUnlessGone(path: string): number | undefined {
  try {
    return openSync(path, O_PATH | constants.O_NOFOLLOW)
  } catch (error) {
    return ignoreGone(error)
  }
}

function set(path: string, { uid, mode, isDirectory }: { uid: number; mode: number; isDirectory: boolean }): void {
  ownSync(path, { uid, group, mode: (mode | groupBits(isDirectory)) & 0o7777 })
}

function groupBits(isDirectory: boolean): number {
  const access = readOnly ? 0o440 : 0o660
  // New files in a directory are to belong to the group as well.
  return isDirectory ? access | 0o110 | SETGID : access
}

/** Nobody asks who owns a link. */
function giveLink(path: string, uid: number): void {
  try {
    lchownSync(path, uid, group)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') noSuchOwner(error as NodeJS.ErrnoException)
  }
}

function ignoreGone(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
