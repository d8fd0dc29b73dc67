/**
 * Commands of an OCI runtime that a daemon had begun and that go on without it. What is started by the monitor is none of
 * them: that has a reaper, by which it is found again.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { killProcess, processStartTime, readOfProcess } from '../monitor/process-identity.ts'

/**
 * What they may have done by half. A sentry that was told to stand still does so for ever where nobody has written down
 * that it does, so these are let finish; a command that saves, kills or deletes is given again by whoever needs that.
 */
const SUBCOMMANDS: ReadonlyMap<string, 'finishes' | 'ends'> = new Map([
  ['pause', 'finishes'],
  ['resume', 'finishes'],
  ['checkpoint', 'ends'],
  ['kill', 'ends'],
  ['delete', 'ends'],
])

/** They take some 20 ms; one that takes longer than this waits for a sentry that does not answer. */
const PATIENCE_MS = 3_000
const LOOK_MS = 5

interface OrphanedCommand {
  pid: number
  startTime: string
  finishes: boolean
}

/**
 * Resolves when none of them goes on, so that nothing of what is found, made or taken away afterwards is changed by an
 * earlier daemon. To be called before this one gives any command itself.
 */
export async function endOrphanedCommands(stateDirectory: string): Promise<void> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    const found = findOrphanedCommands(stateDirectory)
    if (found.length === 0) return
    const isLate = performance.now() > until
    for (const { pid, startTime, finishes } of found) if (!finishes || isLate) killProcess(pid, startTime, 'SIGKILL')
    // Nobody is told of the end of another one's child.
    await delay(LOOK_MS)
  }
}

function findOrphanedCommands(stateDirectory: string): OrphanedCommand[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    const kind = Number.isInteger(pid) ? kindOf(commandLineOf(pid), stateDirectory) : undefined
    const startTime = kind === undefined ? undefined : processStartTime(pid)
    return startTime === undefined ? [] : [{ pid, startTime, finishes: kind === 'finishes' }]
  })
}

/** By the options that `commandLine` of a driver begins with: `--root STATE/HANDLER`. */
function kindOf(words: string[], stateDirectory: string): 'finishes' | 'ends' | undefined {
  const at = words.indexOf('--root')
  const root = words[at + 1]
  if (at < 0 || root === undefined || !ROOTS.some((handler) => root === join(stateDirectory, handler))) return undefined
  // What follows the subcommand may be anybody's words.
  const subcommand = words.slice(at + 2).find((word, index, rest) => {
    return !word.startsWith('--') && !WITH_VALUE.has(rest[index - 1] ?? '')
  })
  return subcommand === undefined ? undefined : SUBCOMMANDS.get(subcommand)
}

/** Of the global options, those whose value is a word of its own. */
const WITH_VALUE: ReadonlySet<string> = new Set(['--log', '--log-format'])

const ROOTS = ['runsc', 'runc', 'crun']

/** Empty for what has none, and what has ended. */
function commandLineOf(pid: number): string[] {
  return readOfProcess(`/proc/${pid}/cmdline`).split('\0')
}
