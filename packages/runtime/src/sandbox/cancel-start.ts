import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EXITS_FILE } from '../monitor/launched-process.ts'
import { killProcess, processStartTime } from '../monitor/process-identity.ts'
import { tellFailure } from '../monitor/tell-failure.ts'

/** A start takes a fifth of a second, and one that ends by itself leaves less to tidy up than one that is killed. */
const PATIENCE_MS = 2_000

/**
 * When the signal is aborted while this is not disposed of, the OCI runtime that makes the container of the directory is
 * killed after a moment, with what it has started until then: the start then fails.
 */
export function cancelStart(directory: string, signal: AbortSignal | undefined): Disposable {
  let timer: NodeJS.Timeout | undefined
  const abort = (): void => {
    // What cannot be killed now ends the start by itself.
    timer = setTimeout(() => tellFailure(() => killLaunched(directory)), PATIENCE_MS)
  }
  signal?.addEventListener('abort', abort, { once: true })
  return {
    [Symbol.dispose]() {
      signal?.removeEventListener('abort', abort)
      clearTimeout(timer)
    },
  }
}

/** Kills everything below a reaper whose command goes on; the reaper then ends by itself and leaves word of it. */
function killLaunched(directory: string): void {
  const command = launchedCommand(directory)
  if (command === undefined) return
  const parents = parentsOfAll()
  const reaper = parents.get(command)
  // The command's own end is what the start waits for; who adopted it when it was gone is not its reaper.
  if (reaper === undefined || reaper === 1) return
  killBelow([reaper], parents)
}

/** Kills what these processes have started, and what that has. */
export function killBelow(ancestors: readonly number[], parents: ReadonlyMap<number, number> = parentsOfAll()): void {
  for (const pid of parents.keys()) {
    if (ancestors.some((ancestor) => isBelow(pid, ancestor, parents)))
      killProcess(pid, processStartTime(pid) ?? '', 'SIGKILL')
  }
}

/** The first record of the reaper names it; another one with its id tells of its end. */
function launchedCommand(directory: string): number | undefined {
  let records: Buffer
  try {
    records = readFileSync(join(directory, EXITS_FILE))
  } catch {
    return undefined
  }
  const pids = Array.from({ length: Math.floor(records.length / 8) }, (_, index) => records.readInt32LE(index * 8))
  const [command] = pids
  return command === undefined || pids.includes(command, 1) ? undefined : command
}

/** Of every process of the machine. */
export function parentsOfAll(): Map<number, number> {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
    } catch {
      // It ended meanwhile.
    }
  }
  return parents
}

function isBelow(pid: number, ancestor: number, parents: ReadonlyMap<number, number>): boolean {
  for (let at = parents.get(pid); at !== undefined && at > 1; at = parents.get(at)) {
    if (at === ancestor) return true
  }
  return false
}
