import type { Transport } from './transport.ts'

/** Those whose requests go first. */
export interface Precedence {
  /** Whether they are at work now, or about to. */
  coming(): boolean
  /** Resolves when they are not; rejects when that is not looked at any more. */
  settled(): Promise<void>
}

/**
 * Sends few requests at a time, in the order in which they came, while others whose requests go first are at work, and all
 * of them otherwise. An API server serves at once what it is asked at once: the more of it nobody waits for, the longer
 * everybody else waits. Watches and streams are not counted.
 *
 * @param few how many are under way at most meanwhile; those that had begun before go on
 */
export function yieldRequests(transport: Transport, { coming, settled }: Precedence, few: number): Transport {
  const waiting = new Set<() => void>()
  let running = 0
  let following = false

  function letGo(): void {
    for (const go of waiting) {
      if (running >= few && coming()) break
      waiting.delete(go)
      running++
      go()
    }
    if (waiting.size === 0 || following) return
    following = true
    const again = (): void => {
      following = false
      letGo()
    }
    settled().then(again, () => {})
  }

  async function turn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = (): void => {
      if (waiting.delete(resolve)) reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    waiting.add(resolve)
    letGo()
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  return {
    ...transport,
    async request(request) {
      await turn(request.signal)
      try {
        return await transport.request(request)
      } finally {
        running--
        letGo()
      }
    },
  }
}
