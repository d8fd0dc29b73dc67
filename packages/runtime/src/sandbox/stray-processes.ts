import { existsSync, readlinkSync } from 'node:fs'
import { killBelow, parentsOfAll } from './cancel-start.ts'

/** Reapers of a state directory that is gone: nobody will ever ask for what they wait for. */
export interface StrayProcesses {
  stateDirectory: string
  reapers: readonly number[]
}

/** The kernel says so of a file that was removed. */
const REAPER = /^(.+)\/native\/launch(?:-[a-z]+)?(?: \(deleted\))?$/

/** Those of state directories that are still there are for their own daemon to find again, or for `down` to remove. */
export function findStrayProcesses(): StrayProcesses[] {
  const found = new Map<string, number[]>()
  for (const pid of parentsOfAll().keys()) {
    const [, stateDirectory] = REAPER.exec(executableOf(pid)) ?? []
    if (stateDirectory === undefined || existsSync(stateDirectory)) continue
    // In a container of its own a daemon has its directory where only its processes see it.
    if (existsSync(`/proc/${pid}/root${stateDirectory}`)) continue
    found.set(stateDirectory, [...(found.get(stateDirectory) ?? []), pid])
  }
  return [...found].map(([stateDirectory, reapers]) => ({ stateDirectory, reapers }))
}

/** Kills what they have started; they end by themselves then. */
export function removeStrayProcesses({ reapers }: StrayProcesses): void {
  killBelow(reapers)
}

/** Empty for what has none, and what has ended. */
function executableOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return ''
  }
}
