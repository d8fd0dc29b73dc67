/** Sandboxes that have just been given to claims: what follows from it waits until no claim waits for its own. */
import { controllerOf, EXTENSIONS_GROUP, referenceGroup, type Sandbox } from '@caisson/api'
import { sandboxClaims } from '@caisson/client'

export interface HandedOver extends AsyncDisposable {
  /** Has the Sandbox looked at, a little later. */
  add(key: string): void
  /** Resolves when nothing waits any more. */
  settled(): Promise<void>
}

export interface HandedOverOptions {
  /** Resolves when no claim is being given a Sandbox. */
  claimsSettled(): Promise<void>
  enqueue(key: string): void
}

/** A Pod's labels say within a second whose it is, however many claims there are, ms. */
const LONGEST_WAIT = 500

export function createHandedOver({ claimsSettled, enqueue }: HandedOverOptions): HandedOver {
  const stop = new AbortController()
  /** When the wait of each ends at the latest, ms of the process's clock; the first one first. */
  const latest = new Map<string, number>()
  let waiting: Promise<void> | undefined

  async function flush(): Promise<void> {
    const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()))
    let settled = false
    const settling = (async () => {
      await claimsSettled()
      settled = true
    })()
    while (latest.size > 0) {
      const [first = 0] = latest.values()
      using late = expiry(first - performance.now())
      await Promise.race([settling, late.promise, stopped])
      if (stop.signal.aborted) break
      // Timers count whole milliseconds, and may be early by a part of one.
      const now = Math.max(performance.now(), first)
      // Claims that never cease are not to be held up by all of it at once: each has its own time.
      for (const [key, at] of latest) {
        if (!settled && at > now) break
        latest.delete(key)
        enqueue(key)
      }
    }
    waiting = undefined
  }

  return {
    add(key) {
      if (!latest.has(key)) latest.set(key, performance.now() + LONGEST_WAIT)
      waiting ??= flush()
    },
    async settled() {
      await waiting
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await waiting
    },
  }
}

/** Whether a Sandbox is a claim's that was not that claim's before. */
export function wasHandedOver(before: Sandbox, after: Sandbox): boolean {
  const owner = controllerOf(after)
  if (owner?.kind !== sandboxClaims.kind || referenceGroup(owner) !== EXTENSIONS_GROUP) return false
  return owner.uid !== controllerOf(before)?.uid
}

function expiry(ms: number): Disposable & { promise: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  return { promise, [Symbol.dispose]: () => clearTimeout(timer) }
}
