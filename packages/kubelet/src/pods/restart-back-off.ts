/**
 * How long a container that ended waits before it is started again. Each run carries its own delay, so that a daemon
 * that comes back goes on where the last one was.
 */
import type { ContainerRun } from './observed-pod.ts'

const INITIAL_MS = 10_000
const MAXIMUM_MS = 300_000
/** A run that lasted this long proves that the container works: the next failure is the first again. */
const RESET_AFTER_MS = 2 * MAXIMUM_MS

type ExitedRun = ContainerRun & { state: { phase: 'exited' } }

/** When the container may be started again, ms since the epoch. */
export function restartAt(run: ExitedRun): number {
  return run.state.finishedAt + delayAfter(run)
}

/**
 * Whether a moment has come up to which something waits, five minutes at most. One that lies much further ahead was noted
 * before somebody set the clock back.
 */
export function hasCome(moment: number, now: number): boolean {
  return now >= moment || moment - now > 2 * MAXIMUM_MS
}

/** The delay of the next run. */
export function nextBackOffMs(run: ExitedRun | undefined): number {
  if (!run) return 0
  const delay = delayAfter(run)
  return delay === 0 ? INITIAL_MS : Math.min(2 * delay, MAXIMUM_MS)
}

export function delayAfter(run: ExitedRun): number {
  const { startedAt, finishedAt } = run.state
  // A run that never started has no time of its own.
  return startedAt > 0 && finishedAt - startedAt > RESET_AFTER_MS ? 0 : run.backOffMs
}

/** The delay of a run of which only its number is left. */
export function backOffOfRestart(restartCount: number): number {
  return restartCount === 0 ? 0 : Math.min(INITIAL_MS * 2 ** Math.min(restartCount - 1, 10), MAXIMUM_MS)
}

/** As Go prints a duration of whole seconds: `40s`, `1m20s`, `5m0s`. */
export function formatSeconds(ms: number): string {
  const seconds = Math.round(ms / 1000)
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor((seconds % 3600) / 60)
  if (hours > 0) return `${hours}h${minutes}m${seconds % 60}s`
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`
}

/** What a doubled wait comes to after `count` failures in a row, ms. */
export function retryDelay(count: number, { first, most }: { first: number; most: number }): number {
  return Math.min(first * 2 ** Math.min(count - 1, 20), most)
}
