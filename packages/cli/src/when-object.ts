import type { AnyObject, Client, Resource } from '@caisson/client'
import { CliError } from './cli-error.ts'
import { watchNamed } from './watch-named.ts'

export interface WhenOptions<T, R> {
  namespace: string
  name: string
  signal: AbortSignal
  /** Says something once the object is as it should be. It may throw where it never will be. */
  wanted: (object: T) => R | undefined
}

/** Resolves with the first thing that `wanted` says about an object; rejects where the object goes. */
export async function whenObject<T extends AnyObject, R>(
  client: Client,
  resource: Resource<T>,
  { namespace, name, signal, wanted }: WhenOptions<T, R>,
): Promise<R> {
  for await (const event of watchNamed(client, resource, { namespace, name, signal })) {
    if (event.type === 'DELETED') throw new CliError('failed', `${resource.kind} ${name} was deleted meanwhile`)
    if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue
    const said = wanted(event.object)
    if (said !== undefined) return said
  }
  throw new CliError(
    'timed-out',
    `${resource.kind} ${name} was not ready in time: 'kubectl describe ${resource.kind.toLowerCase()} ${name}' says why`,
  )
}
