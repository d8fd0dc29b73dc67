import { setTimeout as delay } from 'node:timers/promises'
import { registryError, TransientFailure } from './registry-failure.ts'

export interface RetryOptions {
  signal: AbortSignal
  /** When to give up, however many tries were made; ms since the process began. */
  deadline?: number | undefined
  /** Says whether the last try brought something, so that the next one is counted as a first one. */
  progressed?: () => boolean
}

const MOST_TRIES = 5
// A server that breaks off again and again, each time a little later.
const MOST_TRIES_WITH_PROGRESS = 100
const FIRST_DELAY_MS = 500
const LONGEST_DELAY_MS = 10_000
const LONGEST_RETRY_AFTER_MS = 60_000

/**
 * Does it again after a TransientFailure, a while later: doubled, jittered, or as the server asks.
 * @throws RuntimeError `registry-unreachable` where nothing ever answered, `registry-unavailable` where something did
 */
export async function withRetries<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, deadline = Number.POSITIVE_INFINITY, progressed = () => false } = options
  let answered = false
  for (let tries = 1, all = 1; ; tries++, all++) {
    signal.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof TransientFailure)) throw error
      answered ||= error.answered
      if (progressed()) tries = 1
      const wait = delayMs(tries, error.retryAfterMs)
      const isLast = tries >= MOST_TRIES || all >= MOST_TRIES_WITH_PROGRESS || wait === undefined
      if (isLast || performance.now() + wait > deadline)
        throw registryError(answered ? 'registry-unavailable' : 'registry-unreachable', error.message, error)
      await delay(wait, undefined, { signal })
    }
  }
}

/** Undefined where the server asks for more patience than anybody has. */
function delayMs(tries: number, retryAfterMs: number | undefined): number | undefined {
  if (retryAfterMs !== undefined) return retryAfterMs > LONGEST_RETRY_AFTER_MS ? undefined : retryAfterMs
  return Math.min(FIRST_DELAY_MS * 2 ** (tries - 1), LONGEST_DELAY_MS) * (0.5 + Math.random() / 2)
}

/** A `Retry-After` header, seconds or a date, in ms. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
