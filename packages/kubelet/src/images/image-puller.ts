/** Pulls for all Pods of the node: the same image is got once, and nobody can take all places. */
import { type ImageStore, type PullOptions, type PullResult, RuntimeError } from '@caisson/runtime'
import { type Limited, limitConcurrency } from '../limit-concurrency.ts'

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
/** A registry that sends a little all the time could go on for weeks. */
const LONGEST_MS = 60 * 60 * 1000

interface SharedPull {
  done: Promise<FinishedPull>
  stop: AbortController
  users: number
}

export function createImagePuller(images: Pick<ImageStore, 'pull'>): ImagePuller {
  const shared = new Map<string, SharedPull>()
  const running = new Set<SharedPull>()
  const everywhere = limitConcurrency(AT_A_TIME)
  const byNamespace = new Map<string, { limited: Limited; users: number }>()

  async function inTurn<T>(namespace: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const own = byNamespace.get(namespace) ?? { limited: limitConcurrency(AT_A_TIME_PER_NAMESPACE), users: 0 }
    byNamespace.set(namespace, own)
    own.users++
    try {
      return await own.limited(() => everywhere(work, signal), signal)
    } finally {
      if (--own.users === 0) byNamespace.delete(namespace)
    }
  }

  async function pull(request: PullRequest, signal: AbortSignal): Promise<FinishedPull> {
    const { name, credentials, reachWithinMs } = request
    return inTurn(
      request.namespace,
      async () => {
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
      },
      signal,
    )
  }

  function begin(key: string, request: PullRequest): SharedPull {
    const stop = new AbortController()
    const done = pull(request, stop.signal)
    const begun = { done, stop, users: 0 }
    shared.set(key, begun)
    running.add(begun)
    const over = (): void => {
      running.delete(begun)
      if (shared.get(key) === begun) shared.delete(key)
    }
    done.then(over, over)
    return begun
  }

  return {
    async [Symbol.asyncDispose]() {
      const left = [...running]
      for (const { stop } of left) stop.abort()
      await Promise.allSettled(left.map(({ done }) => done))
    },
    async pull(request) {
      const { name, fingerprint, reachWithinMs, signal } = request
      signal.throwIfAborted()
      const key = JSON.stringify([name, fingerprint, reachWithinMs])
      const mine = shared.get(key) ?? begin(key, request)
      mine.users++
      const given = Promise.withResolvers<never>()
      const giveUp = (): void => given.reject(signal.reason as Error)
      signal.addEventListener('abort', giveUp, { once: true })
      try {
        return await Promise.race([mine.done, given.promise])
      } finally {
        signal.removeEventListener('abort', giveUp)
        if (--mine.users === 0) {
          // Whoever comes next must not get one that is being given up.
          if (shared.get(key) === mine) shared.delete(key)
          mine.stop.abort()
        }
      }
    },
  }
}
