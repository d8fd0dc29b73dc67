import { isNotFound } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import type { GlobalOptions } from '../global-options.ts'
import { sandboxes } from '../sandboxes.ts'

export interface RmOptions extends GlobalOptions {
  all?: boolean
  names: string[]
}

/** Removes sandboxes and waits until they and what they ran are gone. Prints the names; goes on after one that is not there. */
export async function rm(options: RmOptions): Promise<void> {
  if (options.all ? options.names.length > 0 : options.names.length === 0) {
    throw new CliError('usage', 'say which sandboxes to remove, by name or with --all')
  }
  await using session = await openSession(options)
  const names = options.all
    ? (await session.client.list(sandboxes, { namespace: session.namespace })).items.map(
        (one) => one.metadata.name ?? '',
      )
    : options.names
  const missing: string[] = []
  await Promise.all(
    names.map(async (name) => {
      if (await removeSandbox(session, name)) console.log(name)
      else missing.push(name)
    }),
  )
  if (missing.length > 0) {
    throw new CliError(
      'not-found',
      `no sandbox ${missing.join(', ')} in namespace ${session.namespace}: 'caisson ls' lists them`,
    )
  }
}

/** Deletes a Sandbox with all that it owns and waits for it to be gone. False where there is none. */
export async function removeSandbox(session: Session, name: string): Promise<boolean> {
  const { client, namespace } = session
  const stop = new AbortController()
  try {
    const found = await client.get(sandboxes, name, { namespace })
    const watch = client.watch(sandboxes, {
      namespace,
      fieldSelector: `metadata.name=${name}`,
      resourceVersion: found.metadata.resourceVersion ?? '',
      allowWatchBookmarks: true,
      signal: stop.signal,
    })
    const answer = await client.delete(sandboxes, name, {
      namespace,
      propagationPolicy: 'Foreground',
      preconditions: { uid: found.metadata.uid ?? '' },
    })
    if (answer.kind === 'Status') return true
    for await (const event of watch) if (event.type === 'DELETED') return true
    return true
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  } finally {
    stop.abort()
  }
}
