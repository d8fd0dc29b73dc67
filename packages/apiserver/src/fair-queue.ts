/**
 * Work that waits for the one thread there is, in order for each whom it is for, and fair between them: next is whoever
 * has had the least of it, so that a long queue is its owner's alone (start-time fair queueing, Goyal, Vin and Cheng 1996).
 */

/** Of one turn of the event loop, ms: what others wait for beside one piece of work that takes longer by itself. */
export const TURN_MS = 20

/** Shares without work that are remembered. */
const MOST_IDLE = 1000

export interface FairQueue<T> {
  readonly size: number
  /** @param share whom the work is for: pieces of one share are done in their order */
  push(share: string, item: T): void
  /** Takes the next piece out; whoever has done it says how long that took. */
  take(): Taken<T> | undefined
  /** ms that the last piece of the share took whose piece is next; 0 where nobody knows. */
  expected(): number
}

export interface Taken<T> {
  item: T
  /** @param ms what the share is charged */
  done(ms: number): void
}

interface Share<T> {
  items: T[]
  /** What the share has had when its next piece begins, in ms of the queue's clock. */
  start: number
  last: number
}

export function createFairQueue<T>(): FairQueue<T> {
  const shares = new Map<string, Share<T>>()
  let size = 0
  /** What the share that was served last had had: who comes anew begins there, and saves up nothing by staying away. */
  let clock = 0

  function next(): Share<T> | undefined {
    let first: Share<T> | undefined
    for (const share of shares.values())
      if (share.items.length > 0 && (!first || share.start < first.start)) first = share
    return first
  }

  function forgetIdle(): void {
    for (const [name, { items }] of shares) if (items.length === 0) shares.delete(name)
  }

  return {
    get size() {
      return size
    },
    push(name, item) {
      let share = shares.get(name)
      if (!share) {
        if (shares.size >= MOST_IDLE) forgetIdle()
        share = { items: [], start: 0, last: 0 }
        shares.set(name, share)
      }
      if (share.items.length === 0) share.start = Math.max(share.start, clock)
      share.items.push(item)
      size++
    },
    take() {
      const share = next()
      if (!share) return undefined
      size--
      clock = share.start
      return {
        item: share.items.shift() as T,
        done(ms) {
          share.start += ms
          share.last = ms
        },
      }
    },
    expected: () => next()?.last ?? 0,
  }
}
