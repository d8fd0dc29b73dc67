/**
 * Sandboxes on a cluster whose nodes are not Caisson's: there no annotation closes the network, no RuntimeClass is meant
 * where none is named, and no image shows this machine. What `caisson run` promises is asked for in Kubernetes' own words,
 * or refused; nothing is quietly less isolated.
 */
import { nameHash } from '@caisson/api'
import { isNotFound, resources } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import type { Session } from '../cluster/session.ts'

const HOST_IMAGE = 'caisson.dev/host'
/** As gVisor's manual calls it, and the embedded cluster. */
const RUNTIME_CLASS = 'gvisor'
const LABEL = 'caisson.dev/run'

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

export interface ClosedNetwork {
  /** Of the Pod. */
  labels: Record<string, string>
  /** Has it removed together with the Sandbox. */
  ownedBy(sandbox: { name: string; uid: string }): Promise<void>
  /** Where there came no Sandbox. */
  remove(): Promise<void>
}

/** What `caisson run` makes there before its Sandbox; undefined on a cluster of ours, which needs none of it. */
export async function prepareElsewhere(
  session: Session,
  options: ElsewhereOptions & { namespace: string; name: string },
): Promise<{ runtimeClassName: string; closed: ClosedNetwork | undefined } | undefined> {
  if (await isCaisson(session)) return undefined
  return {
    runtimeClassName: await runtimeClassElsewhere(session, options),
    closed: options.network === 'isolated' ? await closeNetwork(session, options) : undefined,
  }
}

/** A NetworkPolicy that lets nothing in and nothing out, made before what it is for. */
async function closeNetwork(
  { client }: Session,
  { namespace, name }: { namespace: string; name: string },
): Promise<ClosedNetwork> {
  const labels = { [LABEL]: nameHash(name) }
  const policy = `${name}-isolated`
  await client.create(
    resources.networkPolicies,
    {
      metadata: { name: policy },
      spec: { podSelector: { matchLabels: labels }, policyTypes: ['Ingress', 'Egress'] },
    },
    { namespace },
  )
  return {
    labels,
    async ownedBy({ name: owner, uid }) {
      const reference = { apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', name: owner, uid }
      await client.patch(
        resources.networkPolicies,
        policy,
        { metadata: { ownerReferences: [reference] } },
        { namespace },
      )
    },
    async remove() {
      await client.delete(resources.networkPolicies, policy, { namespace })
    },
  }
}
