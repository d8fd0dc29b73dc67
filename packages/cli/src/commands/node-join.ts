import { isIPv4 } from 'node:net'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { findConnection } from '@caisson/client'
import { primaryAddress, readKeyPair } from '@caisson/kubelet'
import { CliError } from '../cli-error.ts'
import { findDaemon } from '../cluster/daemon-record.ts'
import { type DataDirectory, prepareDataDirectory } from '../cluster/data-directory.ts'
import { startDetached } from '../cluster/detach.ts'
import { requireGvisor } from '../cluster/require-gvisor.ts'
import { isNormalUser } from '../cluster/user-namespace.ts'
import type { GlobalOptions } from '../global-options.ts'
import {
  type JoinedNode,
  nodeDataDirectory,
  nodeFiles,
  readJoinedNode,
  requireNoCluster,
  writeJoinedNode,
} from '../node/joined-node.ts'
import { parseLabels, parseTaints } from '../node/node-words.ts'
import { type NodeWishes, prepareNode } from '../node/prepare-node.ts'

export interface NodeJoinOptions extends GlobalOptions {
  kubeconfig?: string
  name?: string
  labels: readonly string[]
  taints: readonly string[]
  nodeIp?: string
  port?: string
  serviceCidr?: string
  clusterDomain?: string
  detach?: boolean
}

const PORT = 10_250
/** A label's value, since it becomes one, and part of a user's name. */
const NAME = /^(?=.{1,63}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/

/** Makes this machine a node, or goes on with the one that it is, in this process or with `--detach` in one that outlives it. */
export async function nodeJoin(options: NodeJoinOptions): Promise<void> {
  if (isNormalUser())
    throw new CliError('not-permitted', 'a node of a cluster has a pod network and control groups: run it as root')
  const directory = nodeDataDirectory(options.dataDir)
  requireNoCluster(directory)
  const running = await findDaemon(directory)
  const known = readJoinedNode(directory)
  if (running) {
    console.log(`already running: node ${known?.name} of ${running.server}, process ${running.pid}`)
    return
  }
  const wishes = wishesOf(options, known)
  if (known && known.name !== wishes.name)
    throw new CliError('usage', `this machine is node ${known.name} already: 'caisson node leave' first`)
  await requireGvisor(directory)
  prepareDataDirectory(directory)
  const node = await prepared(directory, { known, wishes, asked: isClusterNamed(options) })
  if (options.detach) {
    const record = await startDetached(directory, ['node', 'join'], 'node')
    console.log(`running: node ${node.name} of ${record.server}, process ${record.pid}`)
    return
  }
  const { serveNode } = await import('../node/serve-node.ts')
  await serveNode(directory, node)
}

interface Preparation {
  known: JoinedNode | undefined
  wishes: NodeWishes
  /** Whether the cluster was named in so many words. */
  asked: boolean
}

/** The cluster's administrator is needed once, and when its certificate has ended meanwhile. */
async function prepared(directory: DataDirectory, { known, wishes, asked }: Preparation): Promise<JoinedNode> {
  if (!known || asked || !readKeyPair(nodeFiles(directory).clientPair, Date.now())) {
    const connection = await findConnection(wishes.joinedWith)
    return await prepareNode(directory, connection, wishes)
  }
  const node = { ...known, ...wishes }
  writeJoinedNode(directory, node)
  return node
}

function isClusterNamed({ context, kubeconfig }: NodeJoinOptions): boolean {
  return context !== undefined || kubeconfig !== undefined
}

function wishesOf(options: NodeJoinOptions, known: JoinedNode | undefined): NodeWishes {
  const { context, kubeconfig, serviceCidr } = options
  const name = options.name ?? known?.name ?? hostname().toLowerCase()
  if (!NAME.test(name))
    throw new CliError('usage', `${JSON.stringify(name)} cannot be the name of a node: choose one with --name`)
  const address = options.nodeIp ?? known?.address ?? primaryAddress()
  if (!isIPv4(address)) throw new CliError('usage', `--node-ip takes an IPv4 address, not ${JSON.stringify(address)}`)
  const serviceRange = serviceCidr ?? known?.serviceRange
  if (serviceRange !== undefined && !isRange(serviceRange))
    throw new CliError(
      'usage',
      `--service-cidr takes a range such as 10.96.0.0/12, not ${JSON.stringify(serviceRange)}`,
    )
  const given = { ...(kubeconfig !== undefined && { kubeconfig: resolve(kubeconfig) }), ...(context && { context }) }
  return {
    name,
    address,
    port: portOf(options.port) ?? known?.port ?? PORT,
    labels: options.labels.length > 0 ? parseLabels(options.labels) : (known?.labels ?? {}),
    taints: options.taints.length > 0 ? parseTaints(options.taints) : (known?.taints ?? []),
    clusterDomain: options.clusterDomain ?? known?.clusterDomain ?? 'cluster.local',
    joinedWith: Object.keys(given).length > 0 || !known ? withEnvironment(given) : known.joinedWith,
    ...(serviceRange !== undefined && { serviceRange }),
  }
}

/** Where `leave` finds it again, whatever the environment says then. */
function withEnvironment(given: JoinedNode['joinedWith']): JoinedNode['joinedWith'] {
  const configured = process.env['KUBECONFIG'] ?? ''
  if (given.kubeconfig !== undefined || configured === '' || configured.includes(':')) return given
  return { ...given, kubeconfig: resolve(configured) }
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65_535)
    throw new CliError('usage', `--port takes a number from 0 (a free one) to 65535, not ${JSON.stringify(text)}`)
  return port
}

function isRange(text: string): boolean {
  const [address = '', prefix = '', ...rest] = text.split('/')
  return rest.length === 0 && isIPv4(address) && /^\d{1,2}$/.test(prefix) && Number(prefix) <= 30
}
