/** Whether claims come closely one after another: the next one would have to wait for what is done between them. */
import { abortableDelay } from '@caisson/client'

export interface Arrivals {
  /** A claim has come. */
  note(): void
  /** Whether one came just now, so that more may come. */
  coming(): boolean
  /** Waits until none has come for a moment; says whether it had to. Rejects when the signal is aborted. */
  paused(signal: AbortSignal): Promise<boolean>
}

/** A client that has one claim after another takes some milliseconds between them, one that runs a command in each dozens. */
const PAUSE_MS = 100

export function followArrivals(): Arrivals {
  /** ms of the process's clock. */
  let pausedAt = 0
  return {
    note() {
      pausedAt = performance.now() + PAUSE_MS
    },
    coming: () => performance.now() < pausedAt,
    async paused(signal) {
      let waited = false
      for (let left = pausedAt - performance.now(); left > 0; left = pausedAt - performance.now()) {
        waited = true
        // A timer may be early by a part of a millisecond.
        await abortableDelay(Math.ceil(left), signal)
      }
      return waited
    },
  }
}
