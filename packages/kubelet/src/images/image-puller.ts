/** Pulls for all Pods of the node: the same image is got once, and nobody can take all places. */
import { type Limited, limitConcurrency } from '@caisson/api'
import { type ImageStore, type PullOptions, type PullResult, RuntimeError, settlesWithin } from '@caisson/runtime'

/** Disposing gives up every pull, and resolves when nothing is left of them. */
export interface ImagePuller extends AsyncDisposable {
  /** Rejects with the signal's reason when it is aborted; the pull goes on for whoever else waits for it. */
  pull(request: PullRequest): Promise<FinishedPull>
}

export interface PullRequest extends Pick<PullOptions, 'credentials' | 'reachWithinMs'> {
  name: string
  namespace: string
  /** Of the credentials: a pull is shared only among those who would have made the very same one. */
  fingerprint: string
  signal: AbortSignal
}

export interface FinishedPull extends PullResult {
  /** Without the wait for a place, ms. */
  pullMs: number
}

const AT_A_TIME = 8
/** A tenant whose registries stall must leave places to the others. */
const AT_A_TIME_PER_NAMESPACE = 2
/** What takes longer goes on without a place: a few tenants together must not hold all of them with pulls that never end. */
const PLACE_MS = 60_000
/** With a place and without. */
const MOST = 64
/** A registry that sends a little all the time could go on for weeks. */
const LONGEST_MS = 60 * 60 * 1000

interface SharedPull {
  done: Promise<FinishedPull>
  stop: AbortController
  users: number
  /** Whether some namespace's place has been found for it. */
  isRunning: boolean
  /** By the namespace that waits for a place. */
  queues: Map<string, NamespaceQueue>
  run(request: PullRequest): Promise<void>
  fail(error: unknown): void
}

interface NamespaceQueue {
  leave: AbortController
  users: number
}

export function createImagePuller(images: Pick<ImageStore, 'pull'>, { placeMs = PLACE_MS } = {}): ImagePuller {
  const shared = new Map<string, SharedPull>()
  const unfinished = new Set<SharedPull>()
  const places = limitConcurrency(AT_A_TIME)
  const all = limitConcurrency(MOST)
  const byNamespace = new Map<string, { limited: Limited; users: number }>()

  async function inTurn<T>(namespace: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const own = byNamespace.get(namespace) ?? { limited: limitConcurrency(AT_A_TIME_PER_NAMESPACE), users: 0 }
    byNamespace.set(namespace, own)
    own.users++
    try {
      return await own.limited(() => all(() => inPlace(work, signal), signal), signal)
    } finally {
      if (--own.users === 0) byNamespace.delete(namespace)
    }
  }

  /** Has a place of all namespaces to begin with, and gives it to the next one after a while. */
  async function inPlace<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const working = await places(async () => {
      const begun = work()
      await settlesWithin(begun, placeMs)
      // Not the promise itself, for which would be waited.
      return { begun }
    }, signal)
    return await working.begun
  }

  async function pull(request: PullRequest, signal: AbortSignal): Promise<FinishedPull> {
    const { name, credentials, reachWithinMs } = request
    const began = performance.now()
    const limit = AbortSignal.timeout(LONGEST_MS)
    try {
      const result = await images.pull(name, {
        signal: AbortSignal.any([signal, limit]),
        ...(credentials && { credentials }),
        ...(reachWithinMs !== undefined && { reachWithinMs }),
      })
      return { ...result, pullMs: performance.now() - began }
    } catch (error) {
      if (!limit.aborted) throw error
      throw new RuntimeError('registry-unavailable', `the pull took longer than ${LONGEST_MS / 60_000} minutes`)
    }
  }

  function share(key: string): SharedPull {
    const stop = new AbortController()
    const { promise: done, resolve, reject } = Promise.withResolvers<FinishedPull>()
    const opened: SharedPull = {
      done,
      stop,
      users: 0,
      isRunning: false,
      queues: new Map(),
      async run(request) {
        opened.isRunning = true
        for (const { leave } of opened.queues.values()) leave.abort()
        opened.queues.clear()
        await pull(request, stop.signal).then(resolve, reject)
      },
      fail: reject,
    }
    shared.set(key, opened)
    unfinished.add(opened)
    const over = (): void => {
      unfinished.delete(opened)
      if (shared.get(key) === opened) shared.delete(key)
    }
    done.then(over, over)
    return opened
  }

  /**
   * Each namespace that wants a pull waits for a place of its own, and the first that finds one begins it for all: whoever
   * keeps their own places busy holds back nobody else. Returns what takes one user out of the queue.
   */
  function enqueue(wanted: SharedPull, request: PullRequest): () => void {
    if (wanted.isRunning) return () => undefined
    const { namespace } = request
    const queue = wanted.queues.get(namespace) ?? begin()
    queue.users++
    return () => {
      if (--queue.users > 0) return
      queue.leave.abort()
      if (wanted.queues.get(namespace) === queue) wanted.queues.delete(namespace)
    }

    function begin(): NamespaceQueue {
      const begun = { leave: new AbortController(), users: 0 }
      wanted.queues.set(namespace, begun)
      const { signal } = begun.leave
      // A place may be handed over in the very moment in which it is not wanted any more.
      const work = async (): Promise<void> => {
        if (!signal.aborted) await wanted.run(request)
      }
      inTurn(namespace, work, signal).catch((error: unknown) => {
        if (!signal.aborted) wanted.fail(error)
      })
      return begun
    }
  }

  /** Those that wait for a place end at once. */
  function giveUp(pull: SharedPull): void {
    pull.stop.abort()
    for (const { leave } of pull.queues.values()) leave.abort()
    if (!pull.isRunning) pull.fail(pull.stop.signal.reason)
  }

  return {
    async [Symbol.asyncDispose]() {
      const left = [...unfinished]
      for (const each of left) giveUp(each)
      await Promise.allSettled(left.map(({ done }) => done))
    },
    async pull(request) {
      const { name, fingerprint, reachWithinMs, signal } = request
      signal.throwIfAborted()
      const key = JSON.stringify([name, fingerprint, reachWithinMs])
      const mine = shared.get(key) ?? share(key)
      mine.users++
      const leaveQueue = enqueue(mine, request)
      const given = Promise.withResolvers<never>()
      const leave = (): void => given.reject(signal.reason as Error)
      signal.addEventListener('abort', leave, { once: true })
      try {
        return await Promise.race([mine.done, given.promise])
      } finally {
        signal.removeEventListener('abort', leave)
        leaveQueue()
        if (--mine.users === 0) {
          // Whoever comes next must not get one that is being given up.
          if (shared.get(key) === mine) shared.delete(key)
          giveUp(mine)
        }
      }
    },
  }
}
