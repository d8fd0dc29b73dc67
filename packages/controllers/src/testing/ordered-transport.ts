/** A connection on which the answer to a write and its event come in the order that a test wants: both are right. */
import type { KubeObject, WatchEvent } from '@caisson/api'
import type { ApiRequest, Transport } from '@caisson/client'

/** @param first what is heard of a write before the other; with `event` each write has to change what a watch tells of */
export function createOrderedTransport(inner: Transport, first: 'answer' | 'event'): Transport {
  /** Writes that are not answered yet. */
  const underWay = new Set<Promise<unknown>>()
  /** Settled once a watch has told of that revision. */
  const told = new Map<string, PromiseWithResolvers<void>>()

  function tellingOf(object: unknown): PromiseWithResolvers<void> | undefined {
    const revision = (object as Partial<KubeObject> | undefined)?.metadata?.resourceVersion
    if (!revision) return undefined
    const telling = told.get(revision) ?? Promise.withResolvers<void>()
    told.set(revision, telling)
    return telling
  }

  return {
    async request(asked: ApiRequest): ReturnType<Transport['request']> {
      const answering = inner.request(asked)
      if (asked.method === 'GET') return await answering
      const settled = answering.catch(() => undefined).finally(() => underWay.delete(settled))
      underWay.add(settled)
      const answer = await answering
      if (first === 'event') await tellingOf(answer.body)?.promise
      return answer
    },
    async *watch(asked: ApiRequest): AsyncIterable<WatchEvent> {
      for await (const event of inner.watch(asked)) {
        if (first === 'answer') {
          // Over a network an event may be a while ahead.
          await Promise.all(underWay)
          await turn()
        }
        yield event
        tellingOf(event.object)?.resolve()
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
