import { isNotFound, type PodObject, resources } from '@caisson/client'
import { CliError } from './cli-error.ts'
import type { Session } from './cluster/session.ts'
import { wakeIfAsleep } from './sandbox-progress.ts'
import { sandboxes } from './sandboxes.ts'

/**
 * The Pod in which a Sandbox runs: it has the Sandbox's name.
 *
 * @throws CliError where there is no such Sandbox, or it has no Pod now
 */
export async function podOf(session: Session, name: string): Promise<PodObject> {
  const { client, namespace } = session
  try {
    return await client.get(resources.pods, name, { namespace })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
  try {
    await client.get(sandboxes, name, { namespace })
  } catch (error) {
    if (!isNotFound(error)) throw error
    throw new CliError('not-found', `no sandbox ${name} in namespace ${namespace}: 'caisson ls' lists them`)
  }
  throw new CliError(
    'unavailable',
    `sandbox ${name} has no running Pod now: 'kubectl describe sandbox ${name}' says why`,
  )
}

/** The same, of one that is woken where it sleeps. */
export async function awakePodOf(session: Session, name: string): Promise<PodObject> {
  try {
    return await podOf(session, name)
  } catch (error) {
    // Asked only where there is no Pod: nobody who wants one that runs is to wait for it.
    if (await wakeIfAsleep(session, name)) return podOf(session, name)
    throw error
  }
}
