/** Wakes Sandboxes that were suspended because nothing happened in them, and remembers for a while which there is nothing to wake of. */
import { type Client, forwardPort, isNotFound, resources } from '@caisson/client'
import type { Route } from './route.ts'
import { sandboxOf } from './sandbox-pods.ts'

export interface Waker {
  /** Whether it did; false where the signal comes first. Who asks for the same meanwhile shares the answer. */
  wake(route: Pick<Route, 'namespace' | 'id' | 'port'>, signal: AbortSignal): Promise<boolean>
  /** A Pod of this Sandbox has come: what was found out before counts no more. */
  forget(namespace: string, id: string): void
}

const WAKE_MS = 30_000
/** So long a Sandbox that was not there is not asked for again: its Pod, when it comes, is seen without. */
const REMEMBER_MS = 5000
const REMEMBERED = 4096

export function createWaker(client: Client, now: () => number): Waker {
  const asked = new Map<string, { outcome: Promise<boolean>; until: number }>()

  return {
    wake(route, signal) {
      const key = `${route.namespace}/${route.id}`
      const known = asked.get(key)
      if (known && known.until > now()) return unlessAborted(known.outcome, signal)
      const entry = { outcome: outcomeOf(), until: Number.POSITIVE_INFINITY }
      asked.delete(key)
      asked.set(key, entry)
      const oldest = asked.size > REMEMBERED ? asked.keys().next().value : undefined
      if (oldest !== undefined) asked.delete(oldest)
      return unlessAborted(entry.outcome, signal)

      async function outcomeOf(): Promise<boolean> {
        const woken = await wakePod(client, route)
        entry.until = woken ? 0 : now() + REMEMBER_MS
        return woken
      }
    },
    forget: (namespace, id) => void asked.delete(`${namespace}/${id}`),
  }
}

/** Whoever connects to a Pod that sleeps wakes it: a connection that nothing is done with does. */
async function wakePod(client: Client, { namespace, id, port }: Parameters<Waker['wake']>[0]): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(WAKE_MS)
    // What sleeps has no Pod, or one that is on its way out. Another's of that name is not connected to, nor is the machine.
    const present = await client.get(resources.pods, id, { namespace, signal }).catch(unlessNotFound)
    if (present && (sandboxOf(present) !== id || present.spec?.hostNetwork)) return false
    const connection = await forwardPort(client, id, { namespace, port, signal })
    connection.on('error', () => {}).destroy()
    return true
  } catch {
    return false
  }
}

/** `outcome` never rejects. */
function unlessAborted(outcome: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const abort = (): void => resolve(false)
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  void outcome.then(resolve)
  return promise.finally(() => signal.removeEventListener('abort', abort))
}

function unlessNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error
}
