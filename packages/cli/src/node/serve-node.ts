/** A node of another's cluster in this process, until it is told to stop. */
import {
  type Client,
  createClient,
  createEventRecorder,
  createHttpTransport,
  createInformer,
  createInformers,
  resources,
} from '@caisson/client'
import {
  createNodeAuthentication,
  createNodeAuthorization,
  type KeyPair,
  type Kubelet,
  keepCertificates,
  readKeyPair,
  type ServedNodeApi,
  serveNodeApi,
} from '@caisson/kubelet'
import { CliError } from '../cli-error.ts'
import type { DaemonLog } from '../cluster/daemon-log.ts'
import { type DataDirectory, prepareDataDirectory } from '../cluster/data-directory.ts'
import { EVENTS_GATHER_MS } from '../cluster/recorders.ts'
import { runDaemon, type Served } from '../cluster/run-daemon.ts'
import { openNodeRuntime, startNode } from '../cluster/start-node.ts'
import { readClusterFacts } from './cluster-facts.ts'
import { type JoinedNode, nodeFiles } from './joined-node.ts'
import { NODE_ID, nodeConnection } from './node-identity.ts'

/** Where a cluster says which authority signs its users' certificates. */
const AUTHENTICATION = { namespace: 'kube-system', name: 'extension-apiserver-authentication' }
const SYNC_MS = 30_000

/** Runs until a signal comes: see `runDaemon`. */
export async function serveNode(directory: DataDirectory, node: JoinedNode): Promise<void> {
  prepareDataDirectory(directory)
  await runDaemon(directory, (log) => startJoinedNode(directory, node, log), `node ${node.name} is ready`)
}

async function startJoinedNode(directory: DataDirectory, node: JoinedNode, log: DaemonLog): Promise<Served> {
  const onError = (error: unknown, where: string): void =>
    log(where, error instanceof Error ? error.message : String(error))
  await using stack = new AsyncDisposableStack()
  const stop = new AbortController()
  const { signal } = stop
  const connection = nodeConnection(directory, node)
  const client = createClient(stack.use(createHttpTransport(connection)), { fieldManager: 'kubelet' })
  const facts = await readClusterFacts(client, node.serviceRange)
  const informers = stack.use(createInformers(client))
  const self = informers.of(resources.nodes, { fieldSelector: `metadata.name=${node.name}` })
  const runtime = await openNodeRuntime(directory, {
    serviceRange: facts.serviceRange,
    podNetwork: () => podRange(self.get(node.name)?.spec?.podCIDR),
  })
  stack.defer(() =>
    runtime.opened.then(
      (opened) => opened[Symbol.asyncDispose](),
      () => undefined,
    ),
  )
  // Last in, first out: aborted before the runtime goes.
  stack.defer(() => stop.abort())

  let kubelet: Kubelet | undefined
  const api = stack.use(await serveApi({ directory, node, client, api: () => kubelet?.api, signal, onError, log }))
  const recorder = stack.use(
    createEventRecorder(client, { component: 'kubelet', host: node.name, gather: EVENTS_GATHER_MS }),
  )
  const started = stack.use(
    await startNode({
      directory,
      runtime,
      nodeName: node.name,
      network: {
        informers,
        dns: { domain: node.clusterDomain, address: facts.dnsAddress },
        serviceRange: facts.serviceRange,
        apiServer: addressOf(node.cluster.server),
        record: (about, event) => recorder.record(about, event),
      },
      kubelet: {
        client,
        informers,
        recorder,
        fake: false,
        hostImage: false,
        address: node.address,
        apiPort: api.port,
        ownFields: { labels: node.labels, taints: node.taints, annotations: { [NODE_ID]: node.id } },
      },
      signal,
      onError,
    }),
  )
  kubelet = started.kubelet
  const owned = stack.move()
  return {
    server: node.cluster.server,
    stopAll: () => started.kubelet.stopAll(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

interface ServeApiOptions {
  directory: DataDirectory
  node: JoinedNode
  client: Client
  api(): Kubelet['api'] | undefined
  signal: AbortSignal
  onError(error: unknown, where: string): void
  log: DaemonLog
}

/** With the certificates that there are, and those that come later. */
async function serveApi(options: ServeApiOptions): Promise<ServedNodeApi> {
  const { directory, node, client, signal, onError, log } = options
  const files = nodeFiles(directory)
  await using stack = new AsyncDisposableStack()
  const authentication = stack.use(
    createInformer(client, resources.configMaps, {
      namespace: AUTHENTICATION.namespace,
      fieldSelector: `metadata.name=${AUTHENTICATION.name}`,
    }),
  )
  await authentication.synced(AbortSignal.any([signal, AbortSignal.timeout(SYNC_MS)]))
  let certificate: KeyPair | undefined = readKeyPair(files.servingPair, Date.now())
  const tls = () => ({
    certificate,
    clientAuthority: authentication.get(`${AUTHENTICATION.namespace}/${AUTHENTICATION.name}`)?.data?.['client-ca-file'],
  })
  const served = stack.use(
    await listen(node, () =>
      serveNodeApi({
        host: node.address,
        port: node.port,
        tls: tls(),
        api: options.api,
        authenticate: createNodeAuthentication(client, Date.now),
        authorize: createNodeAuthorization(client, node.name),
        onError,
      }),
    ),
  )
  const renew = (): void => served.renew(tls())
  stack.use(authentication.handle({ added: renew, updated: renew, deleted: renew }))
  stack.use(
    keepCertificates({
      client,
      nodeName: node.name,
      hosts: [node.name, node.address],
      clientFile: files.clientPair,
      servingFile: files.servingPair,
      onServing(pair) {
        certificate = pair
        renew()
      },
      onWaiting: (name) =>
        log(
          'certificates',
          `the node's API has no certificate until somebody says 'kubectl certificate approve ${name}'`,
        ),
      signal,
      now: Date.now,
      onError,
    }),
  )
  const owned = stack.move()
  return { ...served, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function listen(node: JoinedNode, begin: () => Promise<ServedNodeApi>): Promise<ServedNodeApi> {
  try {
    return await begin()
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const place = `${node.address}:${node.port}`
    if (code === 'EADDRINUSE')
      throw new CliError('unavailable', `${place} is in use, perhaps by another kubelet: choose --port`, { cause })
    if (code === 'EADDRNOTAVAIL')
      throw new CliError('unavailable', `${node.address} is no address of this machine: say which with --node-ip`, {
        cause,
      })
    throw cause
  }
}

/** What is no range that the node can use is as none: it takes one that this machine does not use. */
function podRange(cidr: string | undefined): string | undefined {
  const prefix = Number(/^\d+\.\d+\.\d+\.\d+\/(\d+)$/.exec(cidr ?? '')?.[1])
  return prefix >= 16 && prefix <= 24 ? cidr : undefined
}

function addressOf(server: string): { host: string; port: number } {
  const { hostname, port, protocol } = new URL(server)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}
