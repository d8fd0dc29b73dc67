/**
 * Lets at most `limit` of the given operations run at a time, the others wait in order. An operation whose signal is
 * aborted while it waits is not begun: its promise rejects with the signal's reason.
 */
export function limitConcurrency(limit: number): Limited {
  let running = 0
  const waiting = new Set<() => void>()

  async function turn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (running < limit) {
      running++
      return
    }
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

export type Limited = <T>(operation: () => Promise<T>, signal?: AbortSignal) => Promise<T>
