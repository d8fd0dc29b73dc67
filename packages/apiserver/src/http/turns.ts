/**
 * Requests that came at once are worked on as many turns of the event loop as they take, and not in one: what a user sends
 * a hundred times, each of them a tenth of a second's work, would otherwise hold up everybody else for all of it.
 */
import { createFairQueue, TURN_MS } from '../fair-queue.ts'

export interface Turns {
  /**
   * Undefined where the work can be done at once; else resolves when it is its turn. Either way it is done by the time
   * that the microtasks of this moment are.
   *
   * @param share whom it is for
   */
  wait(share: string): Promise<void> | undefined
}

/** Resumed one after the other, with all of their microtasks, within one turn. */
const MOST_AT_ONCE = 32

export function createTurns(): Turns {
  const waiting = createFairQueue<() => void>()
  /** When the first piece of work of this turn began. */
  let begun: number | undefined
  let resumed = 0
  /** Charges whose work was resumed last. */
  let settle: ((now: number) => void) | undefined
  let ends = false

  function end(): void {
    settle?.(performance.now())
    settle = undefined
    begun = undefined
    resumed = 0
    ends = waiting.size > 0
    if (!ends) return
    for (let count = Math.min(waiting.size, MOST_AT_ONCE); count > 0; count--) setImmediate(resume)
    setImmediate(end)
  }

  /** One of them: its microtasks run before the next one is. */
  function resume(): void {
    const now = performance.now()
    settle?.(now)
    settle = undefined
    begun ??= now
    if (resumed > 0 && now - begun + waiting.expected() >= TURN_MS) return
    const next = waiting.take()
    if (!next) return
    resumed++
    settle = (at) => next.done(at - now)
    next.item()
  }

  return {
    wait(share) {
      if (!ends) setImmediate(end)
      ends = true
      const now = performance.now()
      begun ??= now
      if (waiting.size === 0 && now - begun < TURN_MS) return undefined
      return new Promise((resolve) => waiting.push(share, resolve))
    },
  }
}
