import type { Sandbox } from '@caisson/api'
import { isNotFound } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import type { GlobalOptions } from '../global-options.ts'
import { shownName } from '../new-name.ts'
import { getSandbox } from '../sandbox-progress.ts'
import { sandboxes } from '../sandboxes.ts'
import { sayWaiting } from '../say-waiting.ts'
import { watchNamed } from '../watch-named.ts'
import { listWhereFound, whereFound } from '../where-found.ts'

export interface RmOptions extends GlobalOptions {
  all?: boolean
  names: string[]
}

/** Removes sandboxes and waits until they and what they ran are gone. Prints the names; goes on after one that is not there. */
export async function rm(options: RmOptions): Promise<void> {
  if (options.all ? options.names.length > 0 : options.names.length === 0) {
    throw new CliError('usage', 'say which sandboxes to remove: either their names, or --all')
  }
  await using session = await openSession(options)
  const missing: string[] = []
  using waiting = sayWaiting('what runs in them to end')
  const work = options.all
    ? (await listWhereFound(session, sandboxes)).map(
        (sandbox) => async () => waiting.print(await removeSandbox(session, sandbox)),
      )
    : options.names.map((name) => async () => {
        try {
          await whereFound(session, async (here) =>
            waiting.print(await removeSandbox(here, await getSandbox(here, name))),
          )
        } catch (error) {
          if (!(error instanceof CliError && error.code === 'no-sandbox')) throw error
          missing.push(name)
        }
      })
  await Promise.all(work.map((remove) => remove()))
  if (missing.length > 0) {
    throw new CliError(
      'no-sandbox',
      `no sandbox ${missing.map(shownName).join(', ')} in namespace ${session.namespace}: 'caisson ls' lists them`,
    )
  }
}

/** Deletes a Sandbox with all that it owns, waits for it to be gone, and resolves with its name. */
async function removeSandbox({ client }: Session, found: Sandbox): Promise<string> {
  const { name = '', namespace = '' } = found.metadata
  try {
    const answer = await client.delete(sandboxes, name, {
      namespace,
      propagationPolicy: 'Foreground',
      preconditions: { uid: found.metadata.uid ?? '' },
    })
    if (answer.kind === 'Status') return name
  } catch (error) {
    if (!isNotFound(error)) throw error
    // Somebody else was faster.
    return name
  }
  const { signal } = new AbortController()
  for await (const event of watchNamed(client, sandboxes, { namespace, name, signal, known: found }))
    if (event.type === 'DELETED') break
  return name
}
