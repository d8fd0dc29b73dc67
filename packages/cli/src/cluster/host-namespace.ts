/** Where sandboxes with directories or ports of this machine live: who has rights in it can have this machine. */
import { type Client, isNotFound, resources } from '@caisson/client'
import { CliError } from '../cli-error.ts'

/** Pod Security allows it there, RBAC only to administrators. */
export const HOST_NAMESPACE = 'caisson-host-volumes'

const LEVEL = 'pod-security.kubernetes.io/enforce'

/** Made at a cluster's first start, so that nobody else has it before. */
export const hostNamespace = { metadata: { name: HOST_NAMESPACE, labels: { [LEVEL]: 'privileged' } } }

/**
 * Makes it again where somebody has deleted it.
 *
 * @throws CliError where its labels do not allow what it is for, which then is somebody's decision
 */
export async function ensureHostNamespace(client: Client): Promise<void> {
  const { metadata } = await client
    .get(resources.namespaces, HOST_NAMESPACE)
    .catch((error: unknown) =>
      isNotFound(error) ? client.create(resources.namespaces, hostNamespace) : Promise.reject(error),
    )
  const level = metadata.labels?.[LEVEL]
  if (level === 'privileged') return
  const found = level === undefined ? `has no label ${LEVEL}` : `has the label ${LEVEL}=${level}`
  const mend = `'kubectl label namespace ${HOST_NAMESPACE} --overwrite ${LEVEL}=privileged'`
  throw new CliError(
    'not-permitted',
    `namespace ${HOST_NAMESPACE} ${found}, so that -v and --publish are refused there: ${mend} allows them`,
  )
}
