/** The latest events of one resource: what a watch can start from and an old snapshot be rebuilt with. */
import type { StoreEvent } from './store.ts'

export interface EventWindow {
  /** Events at or below this revision are gone. */
  readonly compactedRevision: number
  /** What the events in it were pushed with. */
  readonly bytes: number
  /** @param at ms, of a clock that does not jump */
  push(event: StoreEvent, bytes: number, at: number): void
  /** Forgets what was pushed before `at`. */
  expire(at: number): void
  /** Forgets the oldest, where there is one. */
  dropOldest(): void
  /** Events after `revision`, oldest first; undefined where some of them are gone. */
  after(revision: number): StoreEvent[] | undefined
}

export interface WindowBounds {
  events: number
  /** Of JSON text; the objects in memory take about three times as much. */
  bytes: number
}

/**
 * @param since nothing that happened up to this revision is known
 * @param resized told by how many bytes it has grown
 */
export function createEventWindow(
  since: number,
  bounds: WindowBounds,
  resized: (bytes: number) => void = () => undefined,
): EventWindow {
  // A queue in an array: `head` moves on and the array is cut once half of it is dead, so pushing costs O(1) on average.
  let events: (StoreEvent | undefined)[] = []
  let sizes: number[] = []
  let times: number[] = []
  let head = 0
  let bytes = 0
  let compactedRevision = since

  function resize(by: number): void {
    bytes += by
    resized(by)
  }

  function dropOldest(): void {
    if (head === events.length) return
    compactedRevision = (events[head] as StoreEvent).revision
    resize(-(sizes[head] as number))
    events[head] = undefined
    head++
    if (head < 64 || head * 2 < events.length) return
    events = events.slice(head)
    sizes = sizes.slice(head)
    times = times.slice(head)
    head = 0
  }

  return {
    get compactedRevision() {
      return compactedRevision
    },
    get bytes() {
      return bytes
    },
    dropOldest,
    push(event, size, at) {
      events.push(event)
      sizes.push(size)
      times.push(at)
      resize(size)
      while (events.length - head > bounds.events || (bytes > bounds.bytes && events.length - head > 1)) dropOldest()
    },
    expire(at) {
      while (head < events.length && (times[head] as number) < at) dropOldest()
    },
    after(revision) {
      if (revision < compactedRevision) return undefined
      let low = head
      let high = events.length
      while (low < high) {
        const middle = (low + high) >>> 1
        if ((events[middle] as StoreEvent).revision <= revision) low = middle + 1
        else high = middle
      }
      return events.slice(low) as StoreEvent[]
    },
  }
}
