import type { AnyObject, Client, Resource } from '@caisson/client'
import { CliError } from './cli-error.ts'
import { watchNamed } from './watch-named.ts'

export interface WhenOptions<T, R> {
  namespace: string
  name: string
  signal: AbortSignal
  /** Says something once the object is as it should be. It may throw where it never will be. */
  wanted: (object: T) => R | undefined
  /** Why it is not yet as it should be, for whoever has waited in vain. */
  why?: (object: T) => string | undefined
}

/** Resolves with the first thing that `wanted` says about an object; rejects where the object goes, or the time is up. */
export async function whenObject<T extends AnyObject, R>(
  client: Client,
  resource: Resource<T>,
  { namespace, name, signal, wanted, why }: WhenOptions<T, R>,
): Promise<R> {
  let last: T | undefined
  try {
    for await (const event of watchNamed(client, resource, { namespace, name, signal })) {
      if (event.type === 'DELETED') throw new CliError('failed', `${resource.kind} ${name} was deleted meanwhile`)
      if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue
      last = event.object
      const said = wanted(event.object)
      if (said !== undefined) return said
    }
  } catch (error) {
    // Who ends it for another reason knows which.
    if (!isTimeout(signal.reason)) throw error
  }
  const reason = last && why?.(last)
  throw new CliError(
    'timed-out',
    `${resource.kind} ${name} was not ready in time${reason === undefined ? '' : `: ${reason}`}: 'kubectl describe ${resource.kind.toLowerCase()} ${name}' says ${reason === undefined ? 'why' : 'more'}`,
  )
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError'
}
