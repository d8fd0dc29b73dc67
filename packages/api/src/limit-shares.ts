/**
 * Runs an operation in the turn of whom it is for, and settles as it does. One whose signal is aborted while it waits is
 * not begun: rejects with the signal's reason.
 */
export type Shared = <T>(share: string, operation: () => Promise<T>, signal?: AbortSignal) => Promise<T>

interface Share {
  running: number
  waiting: Set<() => void>
}

/**
 * At most `all` of the operations that it is given run at a time, and `each` of one share. The others wait, in order
 * within their share; next is the share of which the fewest run, of these the one that has waited longest since its last.
 */
export function limitShares({ all, each }: { all: number; each: number }): Shared {
  /** In the order of their last turns. */
  const shares = new Map<string, Share>()
  let running = 0

  function next(): string | undefined {
    let first: [name: string, running: number] | undefined
    for (const [name, share] of shares) {
      if (share.waiting.size === 0 || share.running >= each) continue
      if (first === undefined || share.running < first[1]) first = [name, share.running]
    }
    return first?.[0]
  }

  function beginWaiting(): void {
    while (running < all) {
      const name = next()
      const share = name === undefined ? undefined : shares.get(name)
      const [begin] = share?.waiting ?? []
      if (name === undefined || !share || !begin) return
      shares.delete(name)
      shares.set(name, share)
      share.waiting.delete(begin)
      share.running++
      running++
      begin()
    }
  }

  async function turn(name: string, share: Share, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = (): void => {
      share.waiting.delete(resolve)
      forgetIdle(name, share)
      reject(signal?.reason as Error)
    }
    share.waiting.add(resolve)
    signal?.addEventListener('abort', leave)
    beginWaiting()
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', leave)
    }
  }

  function forgetIdle(name: string, share: Share): void {
    if (share.running === 0 && share.waiting.size === 0) shares.delete(name)
  }

  return async (name, operation, signal) => {
    signal?.throwIfAborted()
    const share = shares.get(name) ?? { running: 0, waiting: new Set() }
    shares.set(name, share)
    await turn(name, share, signal)
    try {
      return await operation()
    } finally {
      running--
      share.running--
      forgetIdle(name, share)
      beginWaiting()
    }
  }
}
