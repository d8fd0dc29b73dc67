/** What is known of an object besides the caches, as long as it is there; losing it costs a write or an event. */
import type { WriteFailure } from './plan.ts'
import type { StatusMemory } from './status-writer.ts'
import type { Doubt } from './write-runner.ts'

export interface ObjectMemory extends StatusMemory {
  uid: string | undefined
  /** What the object, and what is made from it, says. */
  wish: string
  /** Writes that were refused for good, until that changes. */
  refused?: Map<string, WriteFailure>
  /** What policies have refused: when it is tried again, ms since the epoch, and the wait after the next refusal, ms. */
  policy?: { retryAt: number | undefined; nextWait: number }
  /** Writes that may have been done or not, by their ids. */
  doubts?: Map<string, Doubt>
  /** What has been said in an event already. */
  announced?: Set<string>
}

// That a policy or a webhook is another now is nothing that a controller may see. As seldom in the end as what fails is
// tried again by the queue.
const FIRST_POLICY_WAIT = 10_000
const LONGEST_POLICY_WAIT = 1_000_000

/** More than one plan writes in one go; whoever changes what is refused might have any number remembered. */
const MOST_REMEMBERED = 1000

/** Forgets what was refused where it may be accepted now. @param now ms since the epoch */
export function renewRefusals(memory: ObjectMemory, wish: string, now: number): void {
  const { policy } = memory
  if (memory.wish !== wish) {
    memory.wish = wish
    delete memory.refused
    delete memory.policy
  } else if (policy?.retryAt !== undefined && policy.retryAt <= now) {
    policy.retryAt = undefined
    delete memory.refused
  }
}

/** @param now ms since the epoch */
export function rememberRefusal(memory: ObjectMemory, failure: WriteFailure, now: number): void {
  memory.refused ??= new Map()
  memory.refused.set(failure.id, failure)
  dropOldest(memory.refused)
  if (!failure.byPolicy) return
  memory.policy ??= { retryAt: undefined, nextWait: FIRST_POLICY_WAIT }
  const { policy } = memory
  if (policy.retryAt !== undefined) return
  policy.retryAt = now + policy.nextWait
  policy.nextWait = Math.min(policy.nextWait * 2, LONGEST_POLICY_WAIT)
}

/** Whether that has not been said yet; from now on it has. */
export function isNews(memory: ObjectMemory, message: string): boolean {
  memory.announced ??= new Set()
  if (memory.announced.has(message)) return false
  memory.announced.add(message)
  dropOldest(memory.announced)
  return true
}

function dropOldest<K>(remembered: Map<K, unknown> | Set<K>): void {
  const [oldest] = remembered.keys()
  if (remembered.size > MOST_REMEMBERED && oldest !== undefined) remembered.delete(oldest)
}
