/** What follows from claims' having been given Sandboxes, and no claim waits for: it waits until claims have paused. */
import { abortable } from '@caisson/client'

/** How claims come. */
export interface ComingClaims {
  /** Whether one is worked on, or has come just now. */
  coming(): boolean
  /** Resolves when none is worked on and none has come for a moment; rejects when the signal is aborted. */
  settled(signal: AbortSignal): Promise<void>
}

export interface AfterClaims<K> extends AsyncDisposable {
  /** Has it passed on a little later, once however often it is added until then. */
  add(item: K): void
  /** Whether such a one waits. */
  some(is: (item: K) => boolean): boolean
  /** Resolves when nothing waits any more. */
  settled(): Promise<void>
}

export interface AfterClaimsOptions<K> {
  /** Resolves when claims have paused; rejects when the signal is aborted. */
  settled: ComingClaims['settled']
  /** However many claims there are, ms. */
  longest: number
  pass(item: K): void
}

/** Items that wait; where there are more, the first ones are passed on. */
const MOST = 1000

/** Disposing it passes on at once what waits. */
export function createAfterClaims<K>({ settled: claimsSettled, longest, pass }: AfterClaimsOptions<K>): AfterClaims<K> {
  const stop = new AbortController()
  /** When the wait of each ends at the latest, ms of the process's clock; the first one first. */
  const latest = new Map<K, number>()
  let waiting: Promise<void> | undefined

  async function flush(): Promise<void> {
    let settled = false
    let wake = (): void => {}
    const settle = (): void => {
      settled = true
      wake()
    }
    abortable(claimsSettled(stop.signal), stop.signal).then(settle, settle)
    while (latest.size > 0) {
      const [first = 0] = latest.values()
      if (!settled)
        await new Promise<void>((resolve) => {
          const late = setTimeout(resolve, Math.max(0, first - performance.now()))
          wake = () => {
            clearTimeout(late)
            resolve()
          }
        })
      if (stop.signal.aborted) break
      // Timers count whole milliseconds, and may be early by a part of one.
      const now = Math.max(performance.now(), first)
      // Claims that never cease are not to be held up by all of it at once: each has its own time.
      for (const [item, at] of latest) {
        if (!settled && at > now) break
        latest.delete(item)
        pass(item)
      }
    }
    waiting = undefined
  }

  return {
    add(item) {
      if (!latest.has(item)) latest.set(item, performance.now() + longest)
      const [first] = latest.keys()
      if (first !== undefined && latest.size > MOST) {
        latest.delete(first)
        pass(first)
      }
      waiting ??= flush()
    },
    some: (is) => latest.keys().some(is),
    async settled() {
      await waiting
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the controllers were stopped'))
      await waiting
      for (const item of latest.keys()) pass(item)
      latest.clear()
    },
  }
}
