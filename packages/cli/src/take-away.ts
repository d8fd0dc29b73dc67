/** What a command makes for itself alone goes with it, and what it cannot name goes too. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Sandbox } from '@caisson/api'
import { type AnyObject, type Client, isApiError, isNotFound, isTransportError, type Resource } from '@caisson/client'
import { sandboxes } from './sandboxes.ts'
import { say } from './terminal-text.ts'

export interface Temporary<T extends AnyObject> {
  resource: Resource<T>
  namespace: string
  name: string
  /** The cluster itself removes it once this process has ended. */
  isAttended: boolean
  /** Nobody else has chosen the name. */
  isNameNew: boolean
  /** What removes it by hand. */
  removal: string
}

/** A Sandbox, as far as it has to be known to be taken away again. */
export function temporarySandbox(
  about: Pick<Temporary<Sandbox>, 'namespace' | 'name' | 'isAttended' | 'isNameNew'>,
): Temporary<Sandbox> {
  return { ...about, resource: sandboxes, removal: `caisson rm ${about.name} -n ${about.namespace}` }
}

/** An API server that is started again is back by then. */
const PATIENCE_MS = 10_000
const PAUSE_MS = 1_000

/** Makes it by `create`. Where no answer says whether that was done it is taken away before the failure is told. */
export async function makeTemporary<T extends AnyObject>(
  client: Client,
  temporary: Temporary<T>,
  create: () => Promise<unknown>,
): Promise<void> {
  try {
    await create()
  } catch (error) {
    if (mayBeDone(error)) {
      if (temporary.isNameNew) await takeAway(client, temporary)
      else sayLeft(temporary, 'may be there')
    }
    throw error
  }
}

/** Deletes it, and says so where that cannot be done. */
export async function takeAway<T extends AnyObject>(client: Client, temporary: Temporary<T>): Promise<void> {
  const { resource, namespace, name, isAttended } = temporary
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      await client.delete(resource, name, { namespace })
      return
    } catch (error) {
      if (isNotFound(error) || isAttended) return
      const isRefused = isApiError(error) && error.code < 500
      if (isRefused || performance.now() > deadline)
        return sayLeft(temporary, `could not be removed (${(error as Error).message})`)
    }
    await delay(PAUSE_MS)
  }
}

function sayLeft<T extends AnyObject>({ name, removal, isAttended }: Temporary<T>, how: string): void {
  if (!isAttended) say(`${name} ${how}: '${removal}' removes it`)
}

function mayBeDone(error: unknown): boolean {
  return isTransportError(error, 'lost', 'silent', 'malformed', 'too-large') || (isApiError(error) && error.code >= 500)
}
