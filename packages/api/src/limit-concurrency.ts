/** Why an operation was not begun: as many as may wait do already. */
export class TooManyWaiting extends Error {
  override readonly name = 'TooManyWaiting'
}

/**
 * Runs an operation in its turn, and settles as it does. One whose signal is aborted while it waits is not begun: rejects
 * with the signal's reason. One that comes when too many wait is not begun either: rejects with TooManyWaiting.
 */
export type Limited = <T>(operation: () => Promise<T>, signal?: AbortSignal) => Promise<T>

/** At most `limit` of the operations that it is given run at a time; the others, `mostWaiting` at most, wait in order. */
export function limitConcurrency(limit: number, mostWaiting = Number.POSITIVE_INFINITY): Limited {
  let running = 0
  const waiting = new Set<() => void>()

  async function turn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (running < limit) {
      running++
      return
    }
    if (waiting.size >= mostWaiting) throw new TooManyWaiting(`${mostWaiting} are waiting already`)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = (): void => {
      waiting.delete(resolve)
      reject(signal?.reason as Error)
    }
    waiting.add(resolve)
    signal?.addEventListener('abort', leave)
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }

  return async (operation, signal) => {
    await turn(signal)
    try {
      return await operation()
    } finally {
      const [next] = waiting
      // The place is handed on, not given back.
      if (next) {
        waiting.delete(next)
        next()
      } else running--
    }
  }
}
