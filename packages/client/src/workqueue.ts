/**
 * Keys to be worked on: each at most once at a time, however often it is asked for, and their namespaces in turns. What
 * happens while a key is being worked on leads to one more pass afterwards.
 */
import { createDelayQueue } from './delay-queue.ts'
import { messageOf } from './transport-error.ts'
import { createWaitingKeys, type WaitingKeys } from './waiting-keys.ts'

export interface WorkqueueMetrics {
  /** A key begins to wait. */
  added?(): void
  /** Keys that wait for a worker, after each change. */
  depth?(waiting: number): void
  /** ms from the first `add` to the start of the pass. */
  waited?(ms: number): void
  /** ms of a pass, and whether it failed. */
  worked?(ms: number, failed: boolean): void
  retried?(): void
}

export interface AddOptions {
  /** Higher ones first; 0 unless said. A key that waits already moves up, never down. */
  priority?: number
}

export interface WorkResult {
  /** ms after which the key is to be worked on again although nothing happened; with priority 0, as retries are. */
  requeueAfter?: number
  /** Nothing failed, but the key is to come again after a back-off, as if it had. */
  retry?: boolean
}

export interface WorkqueueOptions<K extends string> {
  /** Does one pass. When it rejects, the key comes again after a back-off; when it resolves, its failures are forgotten unless the result says to retry. */
  process: (key: K, signal: AbortSignal) => Promise<WorkResult | void>
  /** Passes at a time; 1 unless said. */
  concurrency?: number
  /** ms before the n-th retry of a key (n from 0). Default: 5 ms, doubled each time, at most 1000 s, as in client-go. */
  backOff?: (failures: number) => number
  onError?: (error: unknown, key: K) => void
  metrics?: WorkqueueMetrics
}

export interface Workqueue<K extends string = string> extends AsyncDisposable {
  add(key: K, options?: AddOptions): void
  /** After `ms`, at the earliest of the times asked for, with priority 0; an `add` before that does not take it away. */
  addAfter(key: K, ms: number): void
  /** Keys that wait for a worker; those that wait for a time are not counted. */
  readonly depth: number
  /** Passes that run now. */
  readonly running: number
  /** Resolves when nothing waits for a worker and nothing runs. Keys that wait for a time do not count. */
  idle(): Promise<void>
}

/**
 * What passes have of one turn of the event loop, ms: thousands that find nothing to do, and so nothing to wait for, would be
 * one turn together.
 */
const TURN_MS = 20
const FIRST_BACK_OFF = 5
const LONGEST_BACK_OFF = 1_000_000

export function createWorkqueue<K extends string = string>(options: WorkqueueOptions<K>): Workqueue<K> {
  const { process: work, metrics, concurrency = 1, backOff = exponentialBackOff } = options
  /** By priority. */
  const levels = new Map<number, WaitingKeys<K>>()
  let order: readonly number[] = []
  /** When a key began to wait, and on which level. */
  const waiting = new Map<K, { priority: number; since: number }>()
  /** Keys that are worked on; the value is the priority with which they are wanted again. */
  const active = new Map<K, number | undefined>()
  const failures = new Map<K, number>()
  const stop = new AbortController()
  let idleWaiters: (() => void)[] = []
  let scheduled = false
  /** When the first pass of this turn of the event loop began. */
  let turnBegan: number | undefined

  const delayed = createDelayQueue<K>((key) => enqueue(key, 0))

  function enqueue(key: K, priority: number): void {
    if (stop.signal.aborted) return
    if (active.has(key)) {
      active.set(key, Math.max(priority, active.get(key) ?? priority))
      return
    }
    const known = waiting.get(key)
    if (known && known.priority >= priority) return
    if (known) levels.get(known.priority)?.delete(key)
    levelOf(priority).add(key)
    waiting.set(key, { priority, since: known?.since ?? performance.now() })
    if (!known) {
      metrics?.added?.()
      metrics?.depth?.(waiting.size)
    }
    schedule()
  }

  function levelOf(priority: number): WaitingKeys<K> {
    let level = levels.get(priority)
    if (!level) {
      level = createWaitingKeys()
      levels.set(priority, level)
      order = [...levels.keys()].sort((a, b) => b - a)
    }
    return level
  }

  function take(): K | undefined {
    for (const priority of order) {
      const key = levels.get(priority)?.take()
      if (key !== undefined) return key
    }
    return undefined
  }

  /** Not within `add`: what a handler adds in one go is sorted and deduplicated first, and the handler comes back. */
  function schedule(): void {
    if (scheduled || active.size >= concurrency) return
    scheduled = true
    if (isTurnOver()) setImmediate(startWork)
    else queueMicrotask(startWork)
  }

  function isTurnOver(): boolean {
    return turnBegan !== undefined && performance.now() - turnBegan >= TURN_MS
  }

  function beginTurn(): void {
    if (turnBegan !== undefined) return
    turnBegan = performance.now()
    setImmediate(() => {
      turnBegan = undefined
    })
  }

  function startWork(): void {
    scheduled = false
    beginTurn()
    while (active.size < concurrency && waiting.size > 0 && !stop.signal.aborted) {
      const key = take()
      if (key === undefined) return
      const since = waiting.get(key)?.since ?? 0
      waiting.delete(key)
      metrics?.depth?.(waiting.size)
      metrics?.waited?.(performance.now() - since)
      active.set(key, undefined)
      void pass(key)
      if (isTurnOver()) return schedule()
    }
  }

  async function pass(key: K): Promise<void> {
    const startedAt = performance.now()
    let failed = false
    try {
      const result = await work(key, stop.signal)
      if (result?.retry) retry(key)
      else failures.delete(key)
      if (result?.requeueAfter !== undefined) addAfter(key, result.requeueAfter)
    } catch (error) {
      failed = true
      if (!stop.signal.aborted) {
        report(error, key)
        retry(key)
      }
    }
    metrics?.worked?.(performance.now() - startedAt, failed)
    const again = active.get(key)
    active.delete(key)
    if (again !== undefined) enqueue(key, again)
    schedule()
    if (active.size === 0 && (waiting.size === 0 || stop.signal.aborted)) {
      const waiters = idleWaiters
      idleWaiters = []
      for (const each of waiters) each()
    }
  }

  function report(error: unknown, key: K): void {
    try {
      if (options.onError) options.onError(error, key)
      else process.emitWarning(`${key}: ${messageOf(error)}`, 'WorkqueueWarning')
    } catch (failure) {
      // The queue goes on whatever its observers do.
      process.emitWarning(messageOf(failure), 'WorkqueueWarning')
    }
  }

  function addAfter(key: K, ms: number): void {
    if (stop.signal.aborted) return
    if (ms > 0) delayed.add(key, ms)
    else enqueue(key, 0)
  }

  function retry(key: K): void {
    const count = failures.get(key) ?? 0
    failures.set(key, count + 1)
    metrics?.retried?.()
    addAfter(key, backOff(count))
  }

  async function idle(): Promise<void> {
    if (active.size === 0 && (waiting.size === 0 || stop.signal.aborted)) return
    await new Promise<void>((resolve) => idleWaiters.push(resolve))
  }

  return {
    add: (key, { priority = 0 } = {}) => enqueue(key, priority),
    addAfter,
    get depth() {
      return waiting.size
    },
    get running() {
      return active.size
    },
    idle,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the workqueue was stopped'))
      delayed.clear()
      waiting.clear()
      levels.clear()
      order = []
      await idle()
    },
  }
}

function exponentialBackOff(failures: number): number {
  return Math.min(FIRST_BACK_OFF * 2 ** failures, LONGEST_BACK_OFF)
}
