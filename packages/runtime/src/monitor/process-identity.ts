import { readFileSync } from 'node:fs'

/**
 * When a process started, in clock ticks since boot: with its id the only safe name of a process, because ids are given
 * again. Undefined where there is no such process, or where it has ended and was only not reaped yet. Throws where that
 * cannot be known, as where no more files may be opened: whoever takes it for gone leaves it for good, or takes what is its.
 */
export function processStartTime(pid: number): string | undefined {
  const [state, ...fields] = statFields(pid)
  return state === 'Z' || state === 'X' ? undefined : fields[18]
}

/** PF_EXITING of the kernel: set before a process's files are closed, by which others hear of its end. */
const EXITING = 0x4

/**
 * Whether a process goes on: not where it has ended, and not where it is about to and was not marked as ended yet. What
 * it had open may be closed by then.
 */
export function goesOn(pid: number, startTime: string): boolean {
  return isSameProcess(pid, startTime) && (Number(statFields(pid)[6] ?? EXITING) & EXITING) === 0
}

/** Id of the process that it belongs to; empty where there is no such process. */
export function parentOf(pid: number): string {
  return statFields(pid)[1] ?? ''
}

/** From its state on, the third of the kernel's fields; none where there is no such process. */
function statFields(pid: number): string[] {
  const stat = readOfProcess(`/proc/${pid}/stat`)
  // The name in parentheses may hold anything, spaces and parentheses too.
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** A file that goes with its process: empty where that is gone. Throws as `processStartTime` does. */
export function readOfProcess(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return ''
    throw error
  }
}

/** Throws as `processStartTime` does. */
export function isSameProcess(pid: number, startTime: string): boolean {
  return startTime !== '' && processStartTime(pid) === startTime
}

/** Kills a process unless its id belongs to another one by now. Throws as `processStartTime` does. */
export function killProcess(pid: number, startTime: string, signal: NodeJS.Signals | number): void {
  if (!isSameProcess(pid, startTime)) return
  try {
    process.kill(pid, signal)
  } catch {
    // It ended in between.
  }
}
