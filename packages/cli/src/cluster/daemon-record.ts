/** Which process serves a data directory: written when it is ready, trusted only while that very process lives. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { CliError } from '../cli-error.ts'
import { type DataDirectory, requireOpen } from './data-directory.ts'

/** One process of this machine, told from all before and after it. */
export interface ProcessRun {
  pid: number
  /** Field 22 of /proc/PID/stat: a process id is used again, but not with the same start time in the same boot. */
  startTime: string
  bootId: string
}

export interface DaemonRecord extends ProcessRun {
  /** `https://127.0.0.1:PORT` */
  server: string
  version: string
  /** Of a cluster that was started with `--fake-runtime`. */
  fakeRuntime?: true
  /** Of a cluster that was started with `--no-flat-group`. */
  flatGroup?: false
  /** It takes no more work, and nobody else may use the directory until it has ended. */
  ending?: true
}

const ENDING_MS = 60_000

/** Of a living process; undefined where there is none. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command may hold spaces and brackets; what follows its last bracket starts with field 3.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // Of one that was killed, the threads that the kernel keeps busy hold its files and ports after the first has ended.
    const threads = Number(fields[16])
    return state === 'Z' && threads <= 1 ? undefined : fields[18]
  } catch {
    return undefined
  }
}

/** A bit of what /proc/PID/status says of signals. */
const KILLED = 1n << 8n

/** Whether it was killed, and ends as soon as the kernel lets it: where that syncs a file, it takes as long as the disk. */
function isKilled(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const pending = [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)].map(([, bits]) => BigInt(`0x${bits}`))
    return /^State:\s*Z/m.test(status) || pending.some((bits) => (bits & KILLED) !== 0n)
  } catch {
    return true
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** Of a process that lives now. */
export function thisRun(pid: number): ProcessRun {
  return { pid, startTime: startTimeOf(pid) ?? '', bootId: bootId() }
}

/** Whether that very process lives. */
export function isSameRun(run: ProcessRun): boolean {
  return run.bootId === bootId() && startTimeOf(run.pid) === run.startTime
}

/** Writes the record of this process, atomically. */
export function writeDaemonRecord(directory: DataDirectory, about: Omit<DaemonRecord, keyof ProcessRun>): void {
  const record: DaemonRecord = { ...thisRun(process.pid), ...about }
  const temporary = `${directory.daemon}.${process.pid}`
  writeFileSync(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 })
  renameSync(temporary, directory.daemon)
}

/**
 * The process that serves the directory now, or undefined.
 *
 * @throws CliError where the directory is closed to this user
 */
export function readDaemonRecord(directory: DataDirectory): DaemonRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(directory.daemon, 'utf8')) as DaemonRecord
    return isSameRun(record) ? record : undefined
  } catch {
    requireOpen(directory)
    return undefined
  }
}

/** Whether the process of the record still lives. */
export function isAlive(record: DaemonRecord): boolean {
  return startTimeOf(record.pid) === record.startTime
}

/** Resolves with false where it still lives after `ms`. Not our child, so there is no event to wait for. */
export async function hasEnded(record: DaemonRecord, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms
  while (isAlive(record)) {
    if (performance.now() > deadline) return false
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return true
}

/** The process that serves the directory and goes on doing so. One that is ending or was killed is waited for, a minute at most. */
export async function findDaemon(directory: DataDirectory): Promise<DaemonRecord | undefined> {
  const record = readDaemonRecord(directory)
  if (!record || !(record.ending || isKilled(record.pid))) return record
  if (await hasEnded(record, ENDING_MS)) return undefined
  throw new CliError('timed-out', `process ${record.pid} has not ended within a minute: 'caisson down' ends it`)
}

export function removeDaemonRecord(directory: DataDirectory): void {
  rmSync(directory.daemon, { force: true })
}
