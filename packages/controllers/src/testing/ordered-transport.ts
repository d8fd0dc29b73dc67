/** A connection on which the answer to a write and its event come in the order that a test wants: both are right. */
import type { WatchEvent } from '@caisson/api'
import type { ApiRequest, Transport } from '@caisson/client'

/** @param first what is heard of a write before the other */
export function createOrderedTransport(inner: Transport, first: 'answer' | 'event'): Transport {
  return {
    async request(asked: ApiRequest): ReturnType<Transport['request']> {
      const answer = await inner.request(asked)
      if (first === 'event' && asked.method !== 'GET') await turn()
      return answer
    },
    async *watch(asked: ApiRequest): AsyncIterable<WatchEvent> {
      for await (const event of inner.watch(asked)) {
        if (first === 'answer') await turn()
        yield event
      }
    },
    stream: (asked) => inner.stream(asked),
    // The cluster outlives the controllers that are started on it.
    async [Symbol.asyncDispose]() {},
  }
}

/** After it all that the turn before had to say has been said. */
async function turn(): Promise<void> {
  await new Promise(setImmediate)
}
