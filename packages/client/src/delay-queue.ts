/** Keys that become due at a time of their own: a binary heap and one timer, however many there are. */
import { LONGEST_TIMER } from '@caisson/api'

export interface DelayQueue<K> {
  /** Becomes due after `ms`; if the key waits already, at the earlier of the two times. */
  add(key: K, ms: number): void
  /** Stops the timer; nothing becomes due any more. */
  clear(): void
}

interface Entry<K> {
  key: K
  at: number
}

export function createDelayQueue<K>(due: (key: K) => void): DelayQueue<K> {
  /** A heap by `at`. An entry counts only while it is the one that `entries` holds for its key. */
  const heap: Entry<K>[] = []
  const entries = new Map<K, Entry<K>>()
  let timer: NodeJS.Timeout | undefined
  let timerAt = Infinity

  function arm(): void {
    dropStale()
    const at = heap[0]?.at ?? Infinity
    if (at === timerAt) return
    clearTimeout(timer)
    timerAt = at
    timer = undefined
    if (at === Infinity) return
    // Rounded up: a timer that fires a fraction early would find nothing due and be set again. What is due after the
    // longest there is is looked at again then.
    const ms = Math.min(Math.max(0, Math.ceil(at - performance.now())), LONGEST_TIMER)
    timer = setTimeout(fire, ms)
  }

  function fire(): void {
    timerAt = Infinity
    const now = performance.now()
    for (;;) {
      dropStale()
      const first = heap[0]
      if (!first || first.at > now) break
      pop(heap)
      entries.delete(first.key)
      due(first.key)
    }
    arm()
  }

  function dropStale(): void {
    for (let first = heap[0]; first && entries.get(first.key) !== first; first = heap[0]) pop(heap)
  }

  return {
    add(key, ms) {
      const at = performance.now() + Math.max(0, ms)
      const waiting = entries.get(key)
      if (waiting && waiting.at <= at) return
      const entry = { key, at }
      entries.set(key, entry)
      push(heap, entry)
      // Keys that are moved forward again and again leave entries behind.
      if (heap.length > 64 && heap.length > 4 * entries.size) rebuild(heap, entries)
      arm()
    },
    clear() {
      clearTimeout(timer)
      timer = undefined
      timerAt = Infinity
      heap.length = 0
      entries.clear()
    },
  }
}

function push<K>(heap: Entry<K>[], entry: Entry<K>): void {
  let index = heap.length
  heap.push(entry)
  while (index > 0) {
    const above = (index - 1) >> 1
    const parent = heap[above]
    if (!parent || parent.at <= entry.at) break
    heap[index] = parent
    heap[above] = entry
    index = above
  }
}

function pop<K>(heap: Entry<K>[]): void {
  const last = heap.pop()
  if (!last || heap.length === 0) return
  let index = 0
  heap[0] = last
  for (;;) {
    let below = 2 * index + 1
    let child = heap[below]
    if (!child) return
    const right = heap[below + 1]
    if (right && right.at < child.at) {
      below++
      child = right
    }
    if (child.at >= last.at) return
    heap[index] = child
    heap[below] = last
    index = below
  }
}

function rebuild<K>(heap: Entry<K>[], entries: Map<K, Entry<K>>): void {
  heap.length = 0
  // A sorted array is a heap.
  for (const entry of [...entries.values()].sort((a, b) => a.at - b.at)) heap.push(entry)
}
