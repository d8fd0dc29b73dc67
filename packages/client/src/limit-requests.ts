import { abortableDelay } from './delay.ts'
import type { Transport } from './transport.ts'

/** `qps` requests a second, and `burst` at once after a pause. */
export interface RequestLimit {
  qps: number
  burst: number
}

/** Has requests wait for their turn, in the order in which they came. Watches and streams are not counted: they are few. */
export function limitRequests(transport: Transport, { qps, burst }: RequestLimit): Transport {
  const spacing = 1000 / qps
  // When the next request is due, if none were to be saved up.
  let due = performance.now() - burst * spacing
  return {
    ...transport,
    async request(request) {
      const now = performance.now()
      due = Math.max(due, now - burst * spacing) + spacing
      const wait = due - now
      if (wait > 0) await abortableDelay(wait, request.signal)
      return await transport.request(request)
    },
  }
}
