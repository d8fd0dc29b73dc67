/** Lets at most `limit` of the given operations run at a time, the others wait in order. */
export function limitConcurrency(limit: number): <T>(operation: () => Promise<T>) => Promise<T> {
  let running = 0
  const waiting: Array<() => void> = []
  return async (operation) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await operation()
    } finally {
      const next = waiting.shift()
      // The place is handed on, not given back.
      if (next) next()
      else running--
    }
  }
}
