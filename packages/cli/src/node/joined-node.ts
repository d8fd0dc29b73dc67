/** What a data directory holds that makes this machine a node of another's cluster. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CliError } from '../cli-error.ts'
import { type DataDirectory, dataDirectory, stateHome } from '../cluster/data-directory.ts'

export interface Taint {
  key: string
  value?: string
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
}

/** Written when the cluster has taken the node in; all that a start needs besides the credentials. */
export interface JoinedNode {
  name: string
  /** Tells this directory from all others that might use the name. */
  id: string
  cluster: {
    server: string
    /** PEM. */
    certificateAuthority?: string
    tlsServerName?: string
    proxyUrl?: string
  }
  /** Whose rights the node was joined with: `leave` uses them again. */
  joinedWith: { kubeconfig?: string; context?: string }
  address: string
  port: number
  labels: Record<string, string>
  taints: Taint[]
  clusterDomain: string
  /** Of Services; asked of the cluster where it is not given. */
  serviceRange?: string
}

export interface NodeFiles {
  /** A JoinedNode. */
  record: string
  credentials: string
  /** Certificate and key in one file, so that no crash can part them. */
  clientPair: string
  servingPair: string
}

/** `--data-dir`, else `$CAISSON_DATA_DIR`, else a directory beside that of this user's embedded cluster. */
export function nodeDataDirectory(option?: string): DataDirectory {
  return dataDirectory(option || process.env['CAISSON_DATA_DIR'] || join(stateHome(), 'caisson-node'))
}

export function nodeFiles({ root }: DataDirectory): NodeFiles {
  const credentials = join(root, 'credentials')
  return {
    record: join(root, 'joined.json'),
    credentials,
    clientPair: join(credentials, 'client.pem'),
    servingPair: join(credentials, 'serving.pem'),
  }
}

export function readJoinedNode(directory: DataDirectory): JoinedNode | undefined {
  const { record } = nodeFiles(directory)
  if (!existsSync(record)) return undefined
  return JSON.parse(readFileSync(record, 'utf8')) as JoinedNode
}

export function writeJoinedNode(directory: DataDirectory, node: JoinedNode): void {
  const { record } = nodeFiles(directory)
  mkdirSync(directory.root, { recursive: true, mode: 0o700 })
  writeFileSync(`${record}.new`, `${JSON.stringify(node, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${record}.new`, record)
}

/** One directory is one cluster's or one node's. */
export function requireNoCluster(directory: DataDirectory): void {
  if (existsSync(directory.objects))
    throw new CliError(
      'usage',
      `${directory.root} holds an embedded cluster: choose another directory for the node with --data-dir`,
    )
}

export function requireNoNode(directory: DataDirectory): void {
  const node = readJoinedNode(directory)
  if (node)
    throw new CliError(
      'usage',
      `${directory.root} is node ${node.name} of ${node.cluster.server}: choose another directory for the cluster with --data-dir, or 'caisson node leave' first`,
    )
}

/** All that a node has of it; what its administrator wrote stays. */
export function removeNodeFiles(directory: DataDirectory): void {
  const { record, credentials } = nodeFiles(directory)
  const { runtime, kubelet, log, daemon, lock, namespaces, root } = directory
  const files = [log, `${log}.1`, daemon, lock, namespaces, join(root, 'layout.json')]
  for (const path of [runtime, kubelet, credentials, ...files]) rmSync(path, { recursive: true, force: true })
  rmSync(record, { force: true })
  try {
    rmdirSync(root)
  } catch {
    // There is more in it than what was the node's.
  }
}
