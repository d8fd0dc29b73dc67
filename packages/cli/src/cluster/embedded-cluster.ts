/** Composes the embedded cluster: API server, control plane, controllers and the node, in this process. */
import { hostname } from 'node:os'
import { CONTROLLER_NAMESPACE, claimCrd, flatCrds, poolCrd, sandboxCrd, snapshotCrd, templateCrd } from '@caisson/api'
import { componentUsers, SERVICE_CIDR } from '@caisson/apiserver'
import {
  type AnyObject,
  type Client,
  createClient,
  createEventRecorder,
  createInformers,
  createSandboxWaker,
  type Informers,
  inProcessTransport,
  type PodObject,
  sandboxClaims,
  sandboxSnapshots,
} from '@caisson/client'
import { createSandboxMetrics, startControllers, startTracing } from '@caisson/controllers'
import { PROVISIONER, startControlPlane } from '@caisson/controlplane'
import { createSystemProcesses, type Kubelet, removeTree } from '@caisson/kubelet'
import { watchAttendance } from '../attendance.ts'
import { sandboxes as sandboxResource } from '../sandboxes.ts'
import { VERSION } from '../version.ts'
import type { DataDirectory } from './data-directory.ts'
import { createRecorders, EVENTS_GATHER_MS } from './recorders.ts'
import { keepRouter } from './router-process.ts'
import { type LaterParts, serveApi, writeKubeconfig } from './serve-api.ts'
import { DNS_ADDRESS, standardObjects } from './standard-objects.ts'
import { openNodeRuntime, startNode } from './start-node.ts'
import { ROUTER, ROUTER_PORT, ROUTER_SERVICE, registerControllers, systemObjects } from './system-pods.ts'

const CLUSTER_DOMAIN = 'cluster.local'
export interface EmbeddedClusterOptions {
  host: string
  /** 0 takes a free one. */
  port: number
  fakeRuntime: boolean
  /** Whether templates, claims and pools are also served in the group of Sandbox. */
  flatGroup: boolean
  log(where: string, message: string): void
}

export interface EmbeddedCluster extends AsyncDisposable {
  url: string
  port: number
  /** Of the administrator. */
  client: Client
  /** Of all namespaces, shared with the controllers. */
  informers: Informers
  kubelet: Kubelet
  /** Whether a Pod is a process of the cluster itself. */
  isProcess(pod: PodObject): boolean
  /** Calls back with the number of clients' open connections, now and whenever it changes. */
  followClients(listener: (open: number) => void): Disposable
}

/**
 * Resolves when the API server answers and every part works. Disposing stops this process's parts and leaves sandboxes
 * running; `kubelet.stopAll` ends them.
 */
export async function startEmbeddedCluster(
  directory: DataDirectory,
  options: EmbeddedClusterOptions,
): Promise<EmbeddedCluster> {
  const { log } = options
  const onError = (error: unknown, where: string): void =>
    log(where, error instanceof Error ? error.message : String(error))
  await using stack = new AsyncDisposableStack()
  const stop = new AbortController()
  const { signal } = stop
  const nodeName = hostname().toLowerCase()

  const parts: LaterParts = {}
  const api = stack.use(await serveApi(directory, { ...options, nodeName, parts, onError }))
  writeKubeconfig(directory, api.url, api.certificates)
  // Not before the store is ours alone, and then at once: the programs that it starts work while this process does.
  const runtime = await openNodeRuntime(directory, { serviceRange: SERVICE_CIDR })
  stack.defer(() =>
    runtime.opened.then(
      (opened) => opened[Symbol.asyncDispose](),
      () => undefined,
    ),
  )
  // Last in, first out: aborted before the runtime and the API server go.
  stack.defer(() => stop.abort())

  const clientOf = (user: { username: string; groups: readonly string[] }, name: string): Client =>
    createClient(inProcessTransport(api.server.connect(user, { userAgent: name })), { fieldManager: name })
  const administrator = clientOf({ username: 'caisson', groups: ['system:masters', 'system:authenticated'] }, 'caisson')
  await standardObjects(administrator, {
    crds: [sandboxCrd(), snapshotCrd(), templateCrd(), claimCrd(), poolCrd(), ...(options.flatGroup ? flatCrds() : [])],
    provisioner: PROVISIONER,
    fakeRuntime: options.fakeRuntime,
  })

  const componentOf = (
    user: { username: string; groups: readonly string[] },
    name: string,
  ): { client: Client; informers: Informers } => {
    const client = clientOf(user, name)
    return { client, informers: stack.use(createInformers(client)) }
  }
  const names = { dns: { domain: CLUSTER_DOMAIN, address: DNS_ADDRESS }, serviceRange: SERVICE_CIDR }
  const proxy = componentOf(componentUsers.network, 'kube-proxy')
  const node = componentOf(componentUsers.node(nodeName), 'kubelet')
  const nodeEvents = stack.use(
    createEventRecorder(node.client, { component: 'kubelet', host: nodeName, gather: EVENTS_GATHER_MS }),
  )
  const control = componentOf(componentUsers.controlPlane, 'kube-controller-manager')
  const recorders = stack.use(createRecorders())
  const processes = createSystemProcesses({ directory: directory.systemLogs, now: Date.now })
  const controllers = stack.use(registerControllers(processes))
  const router = stack.use(
    keepRouter({
      processes,
      directory: directory.router,
      client: administrator,
      server: api.url,
      authority: api.certificates.authority,
      onError,
    }),
  )
  const sandboxes = componentOf(componentUsers.sandboxController, 'sandbox-controller')
  const sandboxInformer = sandboxes.informers.of(sandboxResource)
  const waker = createSandboxWaker({ client: sandboxes.client, informer: sandboxInformer })
  parts.waker = waker
  parts.sandboxMetrics = stack.use(
    createSandboxMetrics({
      sandboxes: sandboxInformer,
      claims: sandboxes.informers.of(sandboxClaims),
      version: VERSION,
    }),
  )
  // Read where the daemon was started.
  const tracing = startTracing({
    environment: process.env,
    byDefault: false,
    version: VERSION,
    onError: (error) => onError(error, 'sending traces'),
  })
  if (tracing) stack.use(tracing)
  const begin = async <T extends AsyncDisposable>(part: Promise<T>): Promise<T> => stack.use(await part)
  const { promise: othersStarted, resolve: sayStarted } = Promise.withResolvers<void>()
  const startOwnNode = async (): Promise<Kubelet> => {
    const started = await begin(
      startNode({
        directory,
        runtime,
        nodeName,
        network: {
          ...proxy,
          ...names,
          apiServer: { host: options.host, port: api.port },
          process: {
            namespace: CONTROLLER_NAMESPACE,
            name: ROUTER_SERVICE,
            labels: { app: ROUTER },
            port: ROUTER_PORT,
            connect: router.connectPod,
          },
          sleepers: { sandboxes: sandboxInformer, waker },
          record: (about, event) => recorders.of(proxy.client, 'kube-proxy').record(about, event),
        },
        kubelet: {
          ...node,
          recorder: nodeEvents,
          fake: options.fakeRuntime,
          hostImage: true,
          processes,
          answerFor: router.answerFor,
        },
        onNetwork(network) {
          parts.network = network
        },
        signal,
        onError,
      }),
    )
    parts.kubelet = started.kubelet
    return parts.kubelet
  }
  // Side by side, since each waits most of the time.
  const nodeStarted = startOwnNode()
  const starting = [
    nodeStarted,
    begin(
      startControlPlane({
        ...control,
        ca: api.certificates.authority,
        volumesDirectory: directory.volumes,
        removeTree,
        volumesInUse: nodeStarted.then(({ volumesInUse }) => volumesInUse),
        record: (component: string, object: AnyObject, event) =>
          recorders.of(control.client, component).record(object, event),
        onError,
        signal,
        othersStarted,
      }),
    ),
    begin(
      startControllers({
        ...sandboxes,
        record: (component, object, event) => recorders.of(sandboxes.client, component).record(object, event),
        log: controllers.log,
        ...(tracing && { tracer: tracing.tracer }),
        flatGroup: options.flatGroup,
        onError(error, where) {
          onError(error, where)
          controllers.log.failed(where, error instanceof Error ? error.message : String(error))
        },
        signal,
      }).then((started) => {
        controllers.ready()
        return started
      }),
    ),
    // What is asked for them right after the start is there; their Pods come later.
    systemObjects(administrator).catch((error: unknown) => {
      if (!signal.aborted) onError(error, 'the objects of the cluster’s own processes')
    }),
  ] as const
  let kubelet: Kubelet
  try {
    ;[kubelet] = await Promise.all(starting)
  } catch (error) {
    stop.abort(error)
    await Promise.allSettled(starting)
    throw error
  } finally {
    // Once whoever waits for the cluster has been told.
    setImmediate(sayStarted)
  }
  stack.use(
    watchAttendance({
      directory,
      client: administrator,
      informers: [sandboxResource, sandboxClaims, sandboxSnapshots].map((resource) =>
        sandboxes.informers.of<AnyObject>(resource),
      ),
      onError,
    }),
  )
  // While nobody waits for it: the first sandbox finds its network made. Where there is none, its condition says so.
  if (!options.fakeRuntime)
    void parts.network?.prepare().catch((error: unknown) => {
      if (!signal.aborted && (error as { code?: string }).code !== 'network-missing') onError(error, 'the pod network')
    })
  const owned = stack.move()
  return {
    url: api.url,
    port: api.port,
    client: administrator,
    informers: sandboxes.informers,
    kubelet,
    isProcess: (pod) => processes.of(pod) !== undefined,
    followClients: (listener) => api.server.followClients(listener),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
