import { readFileSync } from 'node:fs'

/**
 * When a process started, in clock ticks since boot: with its id the only safe name of a process, because ids are given
 * again. Undefined where there is no such process, or where it has ended and was only not reaped yet.
 */
export function processStartTime(pid: number): string | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The name in parentheses may hold anything, spaces and parentheses too.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

export function isSameProcess(pid: number, startTime: string): boolean {
  return startTime !== '' && processStartTime(pid) === startTime
}

/** Kills a process unless its id belongs to another one by now. */
export function killProcess(pid: number, startTime: string, signal: NodeJS.Signals | number): void {
  if (!isSameProcess(pid, startTime)) return
  try {
    process.kill(pid, signal)
  } catch {
    // It ended in between.
  }
}
