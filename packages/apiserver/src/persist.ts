/**
 * What the server itself writes in answer to something has to be written in the end: that the disk was full just then must
 * leave no quota too small and no role too large until the next start. Work that fails is done again, later and later.
 */
import type { Store } from './storage/store.ts'

const FIRST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 60_000

export interface PersistOptions {
  store: Pick<Store, 'failure'>
  /** The first of several failures in a row. */
  report(error: unknown): void
}

export interface Persist extends Disposable {
  /**
   * Does the work, at once, and again until it has succeeded or there is nothing to write to. It finds out for itself what is
   * left to do.
   *
   * @param key of what has failed and waits: what is asked for under the same key meanwhile is done in its place
   */
  do(key: string, work: () => Promise<unknown>): void
}

export function createPersist({ store, report }: PersistOptions): Persist {
  const failing = new Map<string, { retryMs: number; timer: NodeJS.Timeout }>()
  let stopped = false

  function attempt(key: string, work: () => Promise<unknown>): void {
    const settled = (): void => {
      clearTimeout(failing.get(key)?.timer)
      failing.delete(key)
    }
    clearTimeout(failing.get(key)?.timer)
    work().then(settled, (error: unknown) => failed(key, work, error))
  }

  function failed(key: string, work: () => Promise<unknown>, error: unknown): void {
    // A server that stops, or cannot write any more, does it at its next start.
    if (stopped || store.failure !== undefined) return
    const before = failing.get(key)
    clearTimeout(before?.timer)
    if (!before) report(error)
    const retryMs = before ? Math.min(before.retryMs * 2, LONGEST_RETRY_MS) : FIRST_RETRY_MS
    failing.set(key, { retryMs, timer: setTimeout(() => attempt(key, work), retryMs).unref() })
  }

  return {
    do: attempt,
    [Symbol.dispose]() {
      stopped = true
      for (const { timer } of failing.values()) clearTimeout(timer)
    },
  }
}
