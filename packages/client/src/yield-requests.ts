import type { Transport } from './transport.ts'

/** Those whose requests go first. */
export interface Precedence {
  /** Whether they are at work now, or about to. */
  coming(): boolean
  /** Resolves when they are not; rejects when that is not looked at any more. */
  settled(): Promise<void>
}

/** Over one transport, for those who share what is left of the server. */
export interface YieldingTransports {
  sooner: Transport
  /** Its requests are sent while none of `sooner` waits. */
  later: Transport
}

interface Waiting {
  go(): void
  /** When it may go before `sooner`, ms of the process's clock. */
  dueAt: number
}

/** ms. */
const LATEST = 5_000

/**
 * Sends few requests at a time, in the order in which they came, while others whose requests go first are at work, and all
 * of them otherwise. An API server serves at once what it is asked at once: the more of it nobody waits for, the longer
 * everybody else waits. A request of `later` that has waited for five seconds is sent before those of `sooner`, so that it
 * is sent at all. Watches and streams are not counted.
 *
 * @param few how many are under way at most meanwhile; those that had begun before go on
 */
export function yieldRequests(transport: Transport, { coming, settled }: Precedence, few: number): YieldingTransports {
  const sooner = new Set<Waiting>()
  const later = new Set<Waiting>()
  let running = 0
  let following = false

  function next(): Waiting | undefined {
    const [first] = sooner
    const [last] = later
    return first && (!last || last.dueAt > performance.now()) ? first : last
  }

  function letGo(): void {
    for (let waiting = next(); waiting; waiting = next()) {
      if (running >= few && coming()) break
      if (!sooner.delete(waiting)) later.delete(waiting)
      running++
      waiting.go()
    }
    if (sooner.size + later.size === 0 || following) return
    following = true
    const again = (): void => {
      following = false
      letGo()
    }
    settled().then(again, () => {})
  }

  async function turn(queue: Set<Waiting>, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting = { go: resolve, dueAt: performance.now() + LATEST }
    const onAbort = (): void => {
      if (queue.delete(waiting)) reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    queue.add(waiting)
    letGo()
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  const over = (queue: Set<Waiting>): Transport => ({
    ...transport,
    async request(request) {
      await turn(queue, request.signal)
      try {
        return await transport.request(request)
      } finally {
        running--
        letGo()
      }
    },
  })
  return { sooner: over(sooner), later: over(later) }
}
