import type { AnyObject, Resource } from '@caisson/client'
import { CliError } from './cli-error.ts'
import type { Session } from './cluster/session.ts'

/**
 * Looks for a sandbox in the session's namespace, and where it is not there, in the one of sandboxes with directories or
 * ports of this machine, which `caisson run` puts there without being told to.
 *
 * @param look works in the namespace of the session that it is given, and fails with `no-sandbox` where there is none
 */
export async function whereFound<T>(session: Session, look: (session: Session) => Promise<T>): Promise<T> {
  try {
    return await look(session)
  } catch (error) {
    if (session.hostNamespace === undefined || !isNoSandbox(error)) throw error
    try {
      return await look({ ...session, namespace: session.hostNamespace, hostNamespace: undefined })
    } catch (second) {
      throw isNoSandbox(second) ? error : second
    }
  }
}

/** All of the session's namespace, and of that one. */
export async function listWhereFound<T extends AnyObject>(
  { client, namespace, hostNamespace }: Session,
  resource: Resource<T>,
): Promise<T[]> {
  const namespaces = hostNamespace === undefined ? [namespace] : [namespace, hostNamespace]
  const lists = await Promise.all(namespaces.map((one) => client.list(resource, { namespace: one })))
  return lists.flatMap(({ items }) => items)
}

function isNoSandbox(error: unknown): boolean {
  return error instanceof CliError && error.code === 'no-sandbox'
}
