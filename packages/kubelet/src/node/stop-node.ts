/** The end of a node: every container is stopped, its exit written down, and what it had taken away. */
import { limitConcurrency } from '@caisson/api'
import type { Container, Runtime, Sandbox } from '@caisson/runtime'
import { podDirectories } from '../pod-directories.ts'
import { unmountBelow } from '../volumes/mounts.ts'
import { type RecordedEnd, recordEnds } from './recorded-ends.ts'

export interface StopNodeOptions {
  runtime: Pick<Runtime, 'list' | 'stopContainer' | 'removeSandbox'>
  /** Of the agent; no agent may work in it now. */
  dataDir: string
  /** What each container gets between TERM and KILL; default 2,000. */
  graceMs?: number
}

const GRACE_MS = 2_000
/** Waiting costs nothing, so that all have the same two seconds. */
const STOPS = 64
/** Each runs an OCI runtime's command for each of its containers. */
const REMOVALS = 8

/**
 * Objects, logs and volumes stay, but for files of Secrets and tokens.
 *
 * @throws AggregateError where a sandbox or a mount could not be taken away; everything else is gone then
 */
export async function stopNode({ runtime, dataDir, graceMs = GRACE_MS }: StopNodeOptions): Promise<void> {
  const stops = limitConcurrency(STOPS)
  const removals = limitConcurrency(REMOVALS)
  const directories = podDirectories(dataDir)
  const sandboxes = await runtime.list()
  await Promise.all(
    sandboxes.flatMap(({ containers }) =>
      containers.filter(isRunning).map(({ spec }) => stops(() => stopQuietly(runtime, spec.id, graceMs))),
    ),
  )
  // Before the sandboxes go: they are what knows it. They go all the same where it cannot be written.
  const ends = endsOf(await runtime.list())
  const recorded = await Promise.allSettled([recordEnds(dataDir, ends)])
  const results = await Promise.allSettled([
    ...sandboxes.map(({ spec }) => removals(() => runtime.removeSandbox(spec.id))),
    unmountBelow(directories.pods),
    unmountBelow(directories.secrets),
  ])
  const failures = [...recorded, ...results].flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  )
  if (failures.length > 0) {
    throw new AggregateError(failures, `not everything could be stopped: ${failures.map(String).join('; ')}`)
  }
}

function isRunning({ state }: Container): boolean {
  return state.phase === 'running'
}

function endsOf(sandboxes: readonly Sandbox[]): Map<string, RecordedEnd> {
  const ends = new Map<string, RecordedEnd>()
  for (const { containers } of sandboxes) {
    for (const { spec, state } of containers) if (state.phase === 'exited') ends.set(spec.id, state)
  }
  return ends
}

/** It may end by itself meanwhile. What does not stop is killed with its sandbox. */
async function stopQuietly(runtime: StopNodeOptions['runtime'], id: string, graceMs: number): Promise<void> {
  try {
    await runtime.stopContainer(id, { graceMs })
  } catch {
    return
  }
}
