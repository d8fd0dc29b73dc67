/** Makes this machine known to a cluster as one of its nodes, with the rights of whoever joins it. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Client,
  type ClusterConnection,
  createClient,
  createHttpTransport,
  isApiError,
  isNotFound,
  isTransportError,
  resources,
} from '@caisson/client'
import { CertificateError, readKeyPair, requestNodeCertificate, writeKeyPair } from '@caisson/kubelet'
import { CliError } from '../cli-error.ts'
import type { DataDirectory } from '../cluster/data-directory.ts'
import { say } from '../terminal-text.ts'
import { type JoinedNode, nodeFiles, readJoinedNode, writeJoinedNode } from './joined-node.ts'
import { NODE_ID, nodeConnection } from './node-identity.ts'
import { grantNodeRights } from './node-rights.ts'

const ANSWER_MS = 10_000
/** For a cluster whose own controllers sign at once, or an administrator who is asked to. */
const CLIENT_CERTIFICATE_MS = 60_000
/** Where nobody is asked, it is signed within a second. */
const SERVING_CERTIFICATE_MS = 10_000
/** RBAC is in force a moment after it was written. */
const RIGHTS_MS = 10_000
const RIGHTS_LOOK_MS = 100

export type NodeWishes = Omit<JoinedNode, 'id' | 'cluster'>

/**
 * Idempotent, for a node that keeps its name. Resolves when the machine has a certificate of the node, its rights and, where
 * that could be had at once, one for its own API; all of it is written down.
 *
 * @throws CliError that says what the cluster, or whoever joins, lacks
 */
export async function prepareNode(
  directory: DataDirectory,
  connection: ClusterConnection,
  wishes: NodeWishes,
): Promise<JoinedNode> {
  const known = readJoinedNode(directory)
  if (known && known.cluster.server !== connection.server)
    throw new CliError(
      'usage',
      `this machine is node ${known.name} of ${known.cluster.server}: 'caisson node leave' first, or choose another --data-dir`,
    )
  const node: JoinedNode = { ...wishes, id: known?.id ?? randomUUID(), cluster: clusterOf(connection) }
  await using transport = createHttpTransport(connection)
  const administrator = createClient(transport, { fieldManager: 'caisson-node-join' })
  await requireReachable(administrator, connection)
  await asAdministrator(async () => {
    await requireOwnName(administrator, node)
    await grantNodeRights(administrator, node.name)
  })
  const files = nodeFiles(directory)
  if (!readKeyPair(files.clientPair, Date.now())) {
    const pair = await asAdministrator(() => clientCertificate(administrator, node.name))
    writeKeyPair(files.clientPair, pair)
  }
  writeJoinedNode(directory, node)
  await using own = createHttpTransport(nodeConnection(directory, node))
  const client = createClient(own, { fieldManager: 'kubelet' })
  await requireRights(client, node)
  if (!readKeyPair(files.servingPair, Date.now())) await servingCertificate(directory, node, { client, administrator })
  return node
}

function clusterOf({ certificateAuthority, ...connection }: ClusterConnection): JoinedNode['cluster'] {
  const { server, insecureSkipTlsVerify, tlsServerName, proxyUrl } = connection
  if (insecureSkipTlsVerify || !server.startsWith('https:'))
    throw new CliError(
      'usage',
      `the kubeconfig does not verify ${server}: a node has to know whose Pods it runs. Give it the cluster's certificate-authority`,
    )
  const authority =
    certificateAuthority &&
    ('data' in certificateAuthority ? certificateAuthority.data : readFileSync(certificateAuthority.file, 'utf8'))
  return {
    server,
    ...(authority !== undefined && { certificateAuthority: authority }),
    ...(tlsServerName !== undefined && { tlsServerName }),
    ...(proxyUrl !== undefined && { proxyUrl }),
  }
}

async function requireReachable(client: Client, { server }: ClusterConnection): Promise<void> {
  try {
    await client.request({ method: 'GET', path: '/version', signal: AbortSignal.timeout(ANSWER_MS) })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    if (isApiError(cause) && (cause.code === 401 || cause.code === 403))
      throw new CliError('not-permitted', `${server} does not know you: ${why}`, { cause })
    throw new CliError('unavailable', `the cluster at ${server} does not answer: ${why}`, { cause })
  }
}

async function asAdministrator<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (isApiError(cause) && cause.code === 403)
      throw new CliError(
        'not-permitted',
        `a node is joined with the rights of a cluster's administrator, and you lack one: ${cause.message}`,
        { cause },
      )
    if (isNotFound(cause) && /certificatesigningrequests/.test(cause.message))
      throw new CliError('unavailable', 'the cluster signs no certificates for nodes (certificates.k8s.io/v1)', {
        cause,
      })
    throw cause
  }
}

/** Whoever holds the name of another node could act as that one. */
async function requireOwnName(client: Client, { name, id }: JoinedNode): Promise<void> {
  let found: Awaited<ReturnType<typeof client.get<NonNullable<typeof resources.nodes.object>>>>
  try {
    found = await client.get(resources.nodes, name)
  } catch (error) {
    if (isNotFound(error)) return
    throw error
  }
  if (found.metadata.annotations?.[NODE_ID] === id) return
  const address = found.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? 'no address'
  const what = `${found.status?.nodeInfo?.kubeletVersion ?? 'no version'}, ${address}`
  throw new CliError(
    'usage',
    `the cluster has a node ${name} that is not this one (${what}): choose another name with --name, or 'kubectl delete node ${name}' where that machine is gone`,
  )
}

async function clientCertificate(administrator: Client, nodeName: string): ReturnType<typeof requestNodeCertificate> {
  let waitsFor = ''
  const signal = AbortSignal.timeout(CLIENT_CERTIFICATE_MS)
  try {
    return await requestNodeCertificate({
      client: administrator,
      approver: administrator,
      nodeName,
      signer: 'client',
      onWaiting(name) {
        waitsFor = name
        say(`waiting for 'kubectl certificate approve ${name}'`)
      },
      signal,
    })
  } catch (cause) {
    if (cause instanceof CertificateError) throw new CliError('not-permitted', cause.message, { cause })
    if (!signal.aborted) throw cause
    const seconds = CLIENT_CERTIFICATE_MS / 1000
    throw new CliError(
      'timed-out',
      waitsFor
        ? `nobody approved CertificateSigningRequest ${waitsFor} within ${seconds} s`
        : `the cluster did not sign the certificate of the node within ${seconds} s: does its kube-controller-manager sign (--cluster-signing-cert-file)?`,
      { cause },
    )
  }
}

async function servingCertificate(
  directory: DataDirectory,
  { name, address }: JoinedNode,
  { client, administrator }: { client: Client; administrator: Client },
): Promise<void> {
  const limit = AbortSignal.timeout(SERVING_CERTIFICATE_MS)
  const left = new AbortController()
  const signal = AbortSignal.any([limit, left.signal])
  try {
    const pair = await requestNodeCertificate({
      client,
      approver: administrator,
      nodeName: name,
      signer: 'serving',
      hosts: [name, address],
      // The node asks again, and waits for as long as it takes.
      onWaiting: () => left.abort(),
      signal,
    })
    writeKeyPair(nodeFiles(directory).servingPair, pair)
  } catch (error) {
    if (!signal.aborted && !(error instanceof CertificateError)) throw error
    const why = error instanceof CertificateError ? `: ${error.message}` : ''
    say(
      `the node's API has no certificate yet${why}. Until somebody approves the request that it makes ('kubectl get csr'), exec, logs and port-forward do not work`,
    )
  }
}

/** With the node's own certificate. */
async function requireRights(client: Client, { name }: JoinedNode): Promise<void> {
  const nodes = { group: '', resource: 'nodes', verb: 'create' }
  try {
    if (!(await may(client, nodes)))
      throw new CliError(
        'unavailable',
        `the cluster gives system:node:${name} none of the rights of a node: its kube-apiserver needs Node in --authorization-mode`,
      )
  } catch (cause) {
    if (isApiError(cause) && cause.code === 401)
      throw new CliError(
        'unavailable',
        'the cluster does not know the certificate that it signed for the node: its kube-apiserver needs the same authority in --client-ca-file',
        { cause },
      )
    if (isTransportError(cause)) throw new CliError('unavailable', cause.message, { cause })
    throw cause
  }
  const policies = { group: 'networking.k8s.io', resource: 'networkpolicies', verb: 'watch' }
  const deadline = Date.now() + RIGHTS_MS
  // There is no event for it.
  while (!(await may(client, policies))) {
    if (Date.now() > deadline)
      throw new CliError('not-permitted', `what ClusterRole caisson:node allows is not allowed to system:node:${name}`)
    await delay(RIGHTS_LOOK_MS)
  }
}

async function may(
  client: Client,
  resourceAttributes: { group: string; resource: string; verb: string },
): Promise<boolean> {
  const spec = { resourceAttributes }
  const { status } = await client.create(resources.selfSubjectAccessReviews, { metadata: {}, spec })
  return status?.allowed === true
}
