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
  let keys = new Set<string>()
  let waiting: Promise<void> | undefined

  async function flush(): Promise<void> {
    using late = expiry(LONGEST_WAIT)
    const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()))
    await Promise.race([claimsSettled(), late.promise, stopped])
    waiting = undefined
    const due = keys
    keys = new Set()
    if (!stop.signal.aborted) for (const key of due) enqueue(key)
  }

  return {
    add(key) {
      keys.add(key)
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
