/**
 * The HTTP API that a kubelet serves for its API server: exec, attach, port-forward, logs, and what its Pods use. Whoever hands requests in
 * has authenticated and authorised them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ProxiedPort } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import { type Runtime, RuntimeError } from '@caisson/runtime'
import { agentMetrics, cadvisorMetrics, resourceMetrics } from '../stats/resource-metrics.ts'
import type { Summary } from '../stats/summary.ts'
import { internalErrorStatus } from './command-status.ts'
import { type LogSource, readContainerLog } from './container-log.ts'
import { flag, type LogQuery, parseLogQuery } from './log-query.ts'
import { parseSelection, parseTarget, type Target } from './node-target.ts'
import { createPodDialer, type PodDialerOptions } from './pod-dialer.ts'
import { proxyRequest, proxyUpgrade } from './pod-proxy.ts'
import { servePortForward } from './port-forward.ts'
import { type RemoteStreams, runRemoteCommand, type StreamSelection } from './remote-command.ts'
import type { ServedContainer, ServedPod } from './served-pod.ts'
import { acceptSpdyCommand } from './spdy-command.ts'
import { isSpdyUpgrade, isWebSocketUpgrade, refuseUpgrade, type UpgradeRequest } from './upgrade.ts'
import { acceptWebSocketCommand, wantsStatusOnErrorChannel } from './web-socket-command.ts'

export interface NodeApiOptions extends PodDialerOptions {
  pods: PodDialerOptions['pods'] & {
    /** Resolves when the container has been started, or it is known why it is not; after minutes in any case. */
    whenStarted?(pod: { namespace: string; name: string; container: string }, signal: AbortSignal): Promise<void>
  }
  runtime: PodDialerOptions['runtime'] & Pick<Runtime, 'exec' | 'attach'>
  /**
   * Connects to who answers in a Sandbox's place on the ports of its runtime APIs, where nobody in it listens. Only for
   * clients of whom the API server says that they may execute commands in it: that is what these APIs do.
   */
  answerFor?: (sandbox: NonNullable<ServedPod['sandbox']>, port: number) => Promise<Duplex>
  /** What `/stats/summary` and `/metrics` tell. */
  summary?: () => Promise<Summary>
  /** What `/pods` tells. */
  list?: () => readonly PodObject[]
  now?: () => number
}

export interface NodeApi {
  /** Plain requests: logs. */
  request(request: IncomingMessage, response: ServerResponse): void
  /** Upgrades: exec, attach, port-forward. Takes the socket over, whatever comes of it. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** A request to a port of a Pod of this node, and one that changes the protocol. */
  proxy(target: ProxiedPort, exchange: { request: IncomingMessage; response: ServerResponse }): void
  proxyUpgrade(target: ProxiedPort, client: UpgradeRequest): void
  /** The body of a GET of `url`, for callers in this process. Throws a NodeApiError where there is none. */
  stream(url: string, signal: AbortSignal | undefined): AsyncIterable<Uint8Array>
}

/** What a request over HTTP would have been answered with. */
export class NodeApiError extends Error {
  override readonly name = 'NodeApiError'
  readonly code = 'NODE_API'
  /** HTTP's. */
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Of agent-sandbox's runtimes: its first one's, and sandboxd's two. */
const RUNTIME_PORTS: ReadonlySet<number> = new Set([8888, 8080, 9090])

interface NodeDocument {
  contentType: string
  text(): Promise<string>
}

const JSON_TYPE = 'application/json'
const METRICS_TYPE = 'text/plain; version=0.0.4'
const METRICS = {
  '/metrics': agentMetrics,
  '/metrics/resource': resourceMetrics,
  '/metrics/cadvisor': cadvisorMetrics,
} as const

function nodeDocuments({ summary, list }: NodeApiOptions): ReadonlyMap<string, NodeDocument> {
  const documents = new Map<string, NodeDocument>([
    ['/healthz', { contentType: 'text/plain; charset=utf-8', text: async () => 'ok' }],
  ])
  if (list) {
    const text = async (): Promise<string> =>
      JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: list() })
    documents.set('/pods', { contentType: JSON_TYPE, text })
  }
  if (!summary) return documents
  documents.set('/stats/summary', { contentType: JSON_TYPE, text: async () => JSON.stringify(await summary()) })
  for (const [path, write] of Object.entries(METRICS))
    documents.set(path, { contentType: METRICS_TYPE, text: async () => write(await summary()) })
  return documents
}

type Environment = () => Promise<Readonly<Record<string, string>> | undefined>

export function createNodeApi(options: NodeApiOptions): NodeApi {
  const now = options.now ?? Date.now
  const documents = nodeDocuments(options)
  const dialPod = createPodDialer(options)

  function request(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'GET') return answer(response, 405, 'logs and statistics are read with GET')
    const document = documents.get(request.url?.split('?')[0] ?? '')
    const answered = document ? tell(document, response) : logs(request.url, response)
    answered.catch((error: Error) => {
      if (response.headersSent) response.destroy(error)
      else answer(response, error instanceof NodeApiError ? error.status : 500, error.message)
    })
  }

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => {})
    serve({ request, socket, head }).catch((error: Error) => socket.destroy(error))
  }

  /** Throws a NodeApiError. */
  function findLog(url: string | undefined): { source: LogSource; query: LogQuery } {
    const target = parseTarget(url)
    if (!target) throw new NodeApiError(404, '404 page not found')
    if (target.action !== 'containerLogs') throw new NodeApiError(400, 'you must request an upgrade of the connection')
    const query = parseLogQuery(target.query, now())
    if (typeof query === 'string') throw new NodeApiError(422, query)
    const pod = options.pods.find(target.namespace, target.pod)
    const name = target.container ?? ''
    if (!pod) throw new NodeApiError(404, `pod ${quoted(target.pod)} does not exist`)
    if (!pod.hasContainer(name)) {
      throw new NodeApiError(404, `container ${quoted(name)} not found in pod ${quoted(target.pod)}`)
    }
    const source = pod.log(name, query.previous)
    if (typeof source === 'string') throw new NodeApiError(400, source)
    return { source, query }
  }

  async function logs(url: string | undefined, response: ServerResponse): Promise<void> {
    const { source, query } = findLog(url)
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    response.writeHead(200, { 'Content-Type': 'text/plain', 'X-Content-Type-Options': 'nosniff' })
    // A follower of a silent container learns at once that it is connected.
    response.flushHeaders()
    try {
      await pipeline(readContainerLog(source, query, gone.signal), response)
    } catch (error) {
      if (!gone.signal.aborted) throw error
    }
  }

  async function tell(document: NodeDocument, response: ServerResponse): Promise<void> {
    const body = await document.text()
    response.writeHead(200, { 'Content-Type': document.contentType, 'Content-Length': Buffer.byteLength(body) })
    response.end(body)
  }

  async function* stream(url: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void> {
    const document = documents.get(url.split('?')[0] ?? '')
    if (document) {
      yield Buffer.from(await document.text())
      return
    }
    const { source, query } = findLog(url)
    yield* readContainerLog(source, query, signal ?? new AbortController().signal)
  }

  async function serve(client: UpgradeRequest): Promise<void> {
    const { request, socket } = client
    const target = parseTarget(request.url)
    const kind = target?.action
    if (!target || (kind !== 'exec' && kind !== 'attach' && kind !== 'portForward')) {
      return refuseUpgrade(socket, 404, '404 page not found')
    }
    if (!isSpdyUpgrade(request) && !isWebSocketUpgrade(request)) {
      return refuseUpgrade(socket, 400, 'unable to upgrade: expected the protocol websocket or SPDY/3.1')
    }
    if (kind === 'attach') await startOf(target, socket)
    const pod = options.pods.find(target.namespace, target.pod)
    if (!pod || (target.uid !== undefined && target.uid !== pod.uid)) {
      return refuseUpgrade(socket, 404, 'pod does not exist')
    }
    using _ = options.connected?.(pod.uid)
    if (kind === 'portForward') await portForward(pod, target, client)
    else await serveCommand(pod, target, { kind, client })
  }

  async function serveCommand(
    pod: ServedPod,
    { query, container: name = '' }: Target,
    { kind, client }: { kind: 'exec' | 'attach'; client: UpgradeRequest },
  ): Promise<void> {
    const { request, socket } = client
    const selection = parseSelection(query)
    if (!selection) return refuseUpgrade(socket, 400, 'you must specify at least 1 of stdin, stdout, stderr')
    const container = kind === 'attach' ? pod.attachableContainer(name) : pod.runningContainer(name)
    const tty = kind === 'attach' && container ? container.tty : selection.tty
    const streams: StreamSelection = { ...selection, tty, stderr: selection.stderr && !tty }
    const args = query.getAll('command')
    const problem = pod.noCommands ?? problemOf(pod, { kind, name, container, args })
    if (problem !== undefined || !container) {
      if (!wantsStatusOnErrorChannel(request) || isSpdyUpgrade(request)) {
        return refuseUpgrade(socket, container || pod.noCommands ? 400 : 500, problem ?? '')
      }
      const remote = await acceptWebSocketCommand(client, streams)
      return remote?.finish(internalErrorStatus(`unable to upgrade connection: ${problem}`))
    }
    const accept = isSpdyUpgrade(request) ? acceptSpdyCommand : acceptWebSocketCommand
    const remote = await accept(client, streams)
    if (!remote) return
    if (kind === 'exec')
      await exec(container, remote, { args, ...streams, environment: async () => pod.environment?.(name) })
    else await attach(container, remote)
  }

  /** A client that comes early gets the output from its beginning, instead of an error and a race at the next try. */
  async function startOf({ namespace, pod: name, container = '' }: Target, socket: Duplex): Promise<void> {
    const gone = new AbortController()
    const abort = (): void => gone.abort()
    socket.once('close', abort)
    await options.pods.whenStarted?.({ namespace, name, container }, gone.signal)
    socket.off('close', abort)
  }

  async function exec(
    container: ServedContainer,
    remote: RemoteStreams,
    { args, stdin, tty, environment }: StreamSelection & { args: string[]; environment: Environment },
  ): Promise<void> {
    await runRemoteCommand(remote, {
      args,
      failure: 'error executing command in container',
      async start(signal) {
        const env = { ...(await environment()) }
        return await options.runtime.exec(container.id, { args, env, tty, stdin, signal })
      },
    })
  }

  async function attach(container: ServedContainer, remote: RemoteStreams): Promise<void> {
    await runRemoteCommand(remote, {
      args: undefined,
      failure: 'error attaching to container',
      start: () => options.runtime.attach(container.id),
    })
  }

  async function portForward(pod: ServedPod, target: Target, client: UpgradeRequest): Promise<void> {
    const { sandboxId } = pod
    const connect =
      pod.connect ??
      (sandboxId === undefined
        ? undefined
        : (port: number, signal: AbortSignal) => options.runtime.connect(sandboxId, port, signal))
    if (!connect) return refuseUpgrade(client.socket, 500, `pod not found (${quoted(`${pod.name}_${pod.namespace}`)})`)
    await servePortForward(client, {
      ports: [...target.query.getAll('port'), ...target.query.getAll('ports')],
      target: {
        description: `${pod.name}_${pod.namespace}, uid ${pod.uid}`,
        connect: (port, signal) => connectOrAnswer(port, { pod, target, connect: () => connect(port, signal) }),
      },
    })
  }

  async function connectOrAnswer(
    port: number,
    { pod: { sandbox }, target, connect }: { pod: ServedPod; target: Target; connect: () => Promise<Duplex> },
  ): Promise<Duplex> {
    const { answerFor } = options
    if (!answerFor || !sandbox || !RUNTIME_PORTS.has(port) || !flag(target.query.get('mayExecute'))) return connect()
    try {
      return await connect()
    } catch (error) {
      // Nobody listens.
      if (!(error instanceof RuntimeError) || error.code !== 'network') throw error
      return await answerFor(sandbox, port)
    }
  }

  return {
    request,
    upgrade,
    stream,
    proxy(target, exchange) {
      void proxyRequest(dialPod, target, exchange)
    },
    proxyUpgrade(target, client) {
      void proxyUpgrade(dialPod, target, client)
    },
  }
}

function answer(response: ServerResponse, status: number, message: string): void {
  const body = Buffer.from(message)
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
    'Content-Length': body.length,
  })
  response.end(body)
}

/** Why a command cannot be begun, or a container attached to, in kubelet's words. */
function problemOf(
  pod: ServedPod,
  asked: { kind: 'exec' | 'attach'; name: string; container: ServedContainer | undefined; args: readonly string[] },
): string | undefined {
  const { kind, name, container, args } = asked
  if (kind === 'attach')
    return container ? undefined : `container ${name} not found in pod ${pod.name}_${pod.namespace}`
  if (!container) return `container not found (${quoted(name)})`
  return args.length === 0 ? 'you must specify at least one command to run' : undefined
}

/** Go's %q for the names that occur here. */
function quoted(text: string): string {
  return JSON.stringify(text)
}
