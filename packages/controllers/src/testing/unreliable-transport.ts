/** A connection on which all goes wrong that may: answers are lost, watches lag, repeat themselves and break. */
import type { WatchEvent } from '@caisson/api'
import { type ApiRequest, type Transport, TransportError } from '@caisson/client'

export interface UnreliableTransport {
  transport: Transport
  /** From now on nothing gets through, as if the process were gone. Resolves when nothing is under way any more. */
  cut(): Promise<void>
}

/** How many writes are lost on the way there, and how many answers on the way back. */
const LOST = 0.05

/** @param seed decides what goes wrong */
export function createUnreliableTransport(inner: Transport, seed: number): UnreliableTransport {
  const random = mulberry(seed)
  const underWay = new Set<Promise<unknown>>()
  let gone = false
  const lost = (): TransportError => new TransportError('lost', 'the connection was lost, as the test wants it')

  async function request(asked: ApiRequest): ReturnType<Transport['request']> {
    const isWrite = asked.method !== 'GET'
    if (gone || (isWrite && random() < LOST)) throw lost()
    const answer = inner.request(asked)
    const settled = answer.catch(() => undefined).finally(() => underWay.delete(settled))
    underWay.add(settled)
    const result = await answer
    // It was done, and nobody was told.
    if (gone || (isWrite && random() < LOST)) throw lost()
    return result
  }

  async function* watch(asked: ApiRequest): AsyncIterable<WatchEvent> {
    for await (const event of inner.watch(asked)) {
      for (let turns = random() < 0.2 ? Math.floor(random() * 30) : 0; turns > 0; turns--)
        await new Promise(setImmediate)
      if (gone || random() < 0.01) throw lost()
      yield event
      if (random() < 0.1) yield event
    }
  }

  return {
    transport: {
      request,
      watch,
      stream: (asked) => inner.stream(asked),
      // The cluster outlives the controllers that are started on it.
      async [Symbol.asyncDispose]() {},
    },
    async cut() {
      gone = true
      while (underWay.size) await Promise.all(underWay)
    },
  }
}

/** A small generator of numbers from 0 to 1, the same ones for the same seed. */
function mulberry(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
