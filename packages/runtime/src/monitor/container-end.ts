import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseOomKills } from '../cgroups/cgroup-files.ts'
import type { ExitReason, ExitStatus } from '../runtime.ts'
import { runCommand } from '../tools/run-command.ts'
import { EXITS_FILE, exitStatusOf, type LaunchedProcess } from './launched-process.ts'
import { goesOn, killProcess } from './process-identity.ts'
import type { Started, Supervision } from './protocol.ts'
import { SentryControlError, waitForContainer } from './sentry-control.ts'
import { waitInShim } from './shim-process.ts'
import { tellFailure } from './tell-failure.ts'

export interface ContainerEnd extends ExitStatus {
  finishedAt: number
  reason: ExitReason
  message?: string
}

export interface WaitForEndOptions {
  supervision: Supervision
  running: Started & { startTime: string; oomKills: number }
  launched: LaunchedProcess
  /** Asked at the end: whether somebody killed it on purpose. */
  killExpected: () => boolean
}

const KILLED: ExitStatus = { exitCode: 137, signal: 9 }

/** Resolves when a container has ended, however that became known; never rejects. */
export async function waitForEnd(options: WaitForEndOptions): Promise<ContainerEnd> {
  const { supervision, running } = options
  const how = supervision.end
  const end = await endOf(options)
  if (end.exitCode === 0 || options.killExpected() || oomKills(supervision) <= running.oomKills) return end
  // A process of a sentry that the kernel has killed ends there with the error of its next step, EPERM, as its code.
  const killed = how.kind === 'asked' || (how.kind === 'reaped' && how.sentry) ? end.exitCode === 1 : false
  const { exitCode, signal } = killed || end.exitCode === 137 ? KILLED : end
  return { exitCode, ...(signal !== undefined && { signal }), finishedAt: end.finishedAt, reason: 'oom-killed' }
}

function endOf(options: WaitForEndOptions): Promise<ContainerEnd> {
  const how = options.supervision.end
  if (how.kind === 'shim') return waitShim(options)
  return how.kind === 'reaped' ? waitReaped(options, how.sentry) : waitAsked(options, how)
}

async function waitShim(options: WaitForEndOptions): Promise<ContainerEnd> {
  try {
    const status = await waitInShim(options.supervision)
    return { ...status, finishedAt: Date.now(), reason: status.exitCode === 0 ? 'completed' : 'error' }
  } catch {
    return options.killExpected()
      ? { ...KILLED, finishedAt: Date.now(), reason: 'error' }
      : monitorDied(options.running)
  }
}

/** How often memory has run out in the container's control group; 0 where nobody counts. */
export function oomKills({ oomFile }: Supervision): number {
  if (oomFile === undefined) return 0
  try {
    return parseOomKills(readFileSync(oomFile, 'utf8'))
  } catch {
    // The group is gone with the sandbox, or is yet to be made.
    return 0
  }
}

async function waitReaped(options: WaitForEndOptions, sentry: boolean): Promise<ContainerEnd> {
  const { running, launched, supervision } = options
  const waitStatus = await launched.statusOf(running.pid)
  if (waitStatus === undefined) return monitorDied(options.running)
  const status = exitStatusOf(waitStatus)
  const finishedAt = lastRecorded(supervision)
  // A sentry passes on its container's end as an exit code. That a signal ended it is its own end.
  if (sentry && status.signal !== undefined) {
    if (options.killExpected()) return { exitCode: 128 + status.signal, finishedAt, reason: 'error' }
    return { ...status, finishedAt, reason: 'sentry-died', message: `the sandbox was ended by signal ${status.signal}` }
  }
  return { ...status, finishedAt, reason: status.exitCode === 0 ? 'completed' : 'error' }
}

/** The record may be older than we are; the file is as old as its last record. Now, where it cannot be looked at. */
function lastRecorded({ directory }: Supervision): number {
  try {
    return Math.trunc(statSync(join(directory, EXITS_FILE)).mtimeMs)
  } catch {
    return Date.now()
  }
}

/** Its reaper was killed: nobody will ever know its exit code, so that it must not go on. */
export function monitorDied(running: WaitForEndOptions['running']): ContainerEnd {
  tellFailure(() => killProcess(running.pid, running.startTime, 'SIGKILL'))
  return {
    ...KILLED,
    finishedAt: Date.now(),
    reason: 'monitor-died',
    message: 'the process that waits for the container was killed, and the container with it',
  }
}

async function waitAsked(
  options: WaitForEndOptions,
  end: Extract<Supervision['end'], { kind: 'asked' }>,
): Promise<ContainerEnd> {
  const { supervision, running } = options
  try {
    const status = exitStatusOf(await askSentry(end, supervision.ociId))
    return { ...status, finishedAt: Date.now(), reason: status.exitCode === 0 ? 'completed' : 'error' }
  } catch {
    if (options.killExpected() || mayGoOn(running)) return { ...KILLED, finishedAt: Date.now(), reason: 'error' }
    return {
      ...KILLED,
      finishedAt: Date.now(),
      reason: 'sentry-died',
      message: 'the sandbox ended under its container',
    }
  }
}

function mayGoOn({ pid, startTime }: WaitForEndOptions['running']): boolean {
  try {
    return goesOn(pid, startTime)
  } catch {
    return true
  }
}

async function askSentry(end: Extract<Supervision['end'], { kind: 'asked' }>, id: string): Promise<number> {
  try {
    return await waitForContainer(end.stateFile, id)
  } catch (error) {
    if (error instanceof SentryControlError && error.hungUp) throw error
    const { stdout, exitCode } = await runCommand(end.wait.program, end.wait.args, { env: end.wait.env })
    const answer = exitCode === 0 ? (JSON.parse(stdout) as { exitStatus?: number }) : {}
    if (answer.exitStatus === undefined) throw error
    return answer.exitStatus << 8
  }
}
