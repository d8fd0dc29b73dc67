/**
 * Sandboxes on a cluster whose nodes are not Caisson's: there no annotation closes the network, no RuntimeClass is meant
 * where none is named, and no image shows this machine. What `caisson run` promises is asked for in Kubernetes' own words,
 * or refused; nothing is quietly less isolated.
 */
import { isDeepStrictEqual } from 'node:util'
import { NETWORK_ANNOTATION } from '@caisson/api'
import { isNotFound, resources } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import type { Session } from '../cluster/session.ts'
import { HOST_IMAGE } from '../host-image.ts'

/** As gVisor's manual calls it, and the embedded cluster. */
const RUNTIME_CLASS = 'gvisor'
const POLICY = 'caisson-isolated'
const ISOLATED = { [NETWORK_ANNOTATION]: 'isolated' }

export interface ElsewhereOptions {
  image: string
  runtimeClass?: string
  network: 'none' | 'isolated' | 'open'
}

/** Whether its nodes know what ours know. */
export async function isCaisson({ client, embedded }: Session): Promise<boolean> {
  if (embedded) return true
  const { gitVersion } = await client.request<{ gitVersion: string }>({ method: 'GET', path: '/version' })
  return gitVersion.endsWith('+caisson')
}

/**
 * @returns the RuntimeClass that the Pod has to name
 * @throws CliError where the cluster cannot isolate a sandbox as it was asked for
 */
export async function runtimeClassElsewhere({ client }: Session, options: ElsewhereOptions): Promise<string> {
  if (options.image === HOST_IMAGE)
    throw new CliError(
      'usage',
      `${HOST_IMAGE} is a view of this machine, which another cluster lacks: name an image with --image`,
    )
  if (options.network === 'none')
    throw new CliError(
      'usage',
      '--network none is for the nodes of Caisson: --network isolated has no connection pass there',
    )
  const name = options.runtimeClass ?? RUNTIME_CLASS
  try {
    await client.get(resources.runtimeClasses, name)
  } catch (error) {
    if (!isNotFound(error)) throw error
    const way = options.runtimeClass === undefined ? 'name another with --runtime-class, or ' : ''
    throw new CliError(
      'unavailable',
      `the cluster has no RuntimeClass ${name}, without which a sandbox shares the kernel of its node: ${way}see 'caisson doctor --context'`,
      { cause: error },
    )
  }
  return name
}

/** What `caisson run` needs there; undefined on a cluster of ours, which needs none of it. */
export async function prepareElsewhere(
  session: Session,
  options: ElsewhereOptions & { namespace: string },
): Promise<{ runtimeClassName: string; labels: Record<string, string> } | undefined> {
  if (await isCaisson(session)) return undefined
  const runtimeClassName = await runtimeClassElsewhere(session, options)
  if (options.network !== 'isolated') return { runtimeClassName, labels: {} }
  await closeNetwork(session, options.namespace)
  return { runtimeClassName, labels: ISOLATED }
}

/**
 * A NetworkPolicy that lets nothing in and nothing out, before there is what it is for. It is one for all sandboxes of a
 * namespace and stays: one of each sandbox would be left over whenever this process is killed before the Sandbox owns it.
 */
async function closeNetwork({ client }: Session, namespace: string): Promise<void> {
  const wanted = { podSelector: { matchLabels: ISOLATED }, policyTypes: ['Ingress', 'Egress'] }
  const { spec } = await client.apply(
    resources.networkPolicies,
    { metadata: { name: POLICY }, spec: wanted },
    { namespace, force: true },
  )
  if (isDeepStrictEqual(spec, wanted)) return
  throw new CliError(
    'unavailable',
    `NetworkPolicy ${POLICY} in namespace ${namespace} lets through what it should not: 'kubectl delete networkpolicy ${POLICY} -n ${namespace}', and the next run makes it again`,
  )
}
