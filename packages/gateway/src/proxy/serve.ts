/** What happens to a request: route, authorize, find the sandbox, connect, carry, or answer in its place. */
import type { IncomingMessage } from 'node:http'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Access, type Authorize, allowAll } from '../authz/authorize.ts'
import type { RouterMetrics } from '../metrics.ts'
import { cannotConnect, RouterError } from '../router-error.ts'
import { dial } from '../routing/dial.ts'
import { routeOfPath } from '../routing/path-route.ts'
import { type Route, routeOfHeaders } from '../routing/route.ts'
import type { SandboxPod, SandboxPods } from '../routing/sandbox-pods.ts'
import type { Waker } from '../routing/wake.ts'
import type { RuntimeApi } from '../runtime-api/runtime-api.ts'
import { type Exchange, hostOf, sendJson } from './exchange.ts'
import { forward, type Upstream } from './forward.ts'
import { forwardCall } from './forward-call.ts'
import { grpcCodeOf, refuseCall } from './grpc-status.ts'
import type { Handlers } from './listener.ts'
import { refuseForeignHost } from './local-host.ts'
import type { Seat } from './seats.ts'
import { carryUpgrade, refuseUpgrade } from './upgrade.ts'

export interface ServeOptions {
  pods: SandboxPods
  authorize: Authorize
  /** For each request, of whatever listener. */
  takeSeat(): Seat
  wake: Waker['wake']
  /** Absent where nothing may be executed: the router then only carries. */
  runtimeApi: RuntimeApi | undefined
  metrics: RouterMetrics
  /** Of path routing, such as `/router`; undefined turns it off. */
  pathPrefix: string | undefined
  allowLoopback: boolean
  /** Also names of the internet lead here, though nobody is asked who he is. */
  anyHost?: boolean
  /** Whose the connection is, where its own address does not say it. */
  peer?: string
  /** ms of silence that are borne where the client does not say it. */
  timeoutMs: number
  /** Further attempts to connect. */
  retries: number
  onError(error: unknown, where: string): void
}

const FIRST_RETRY_MS = 200
const LONGEST_RETRY_MS = 800
const DIAL_MS = 10_000
/** So long a Sandbox that was made just now may take to be known, ms: as long as all retries together. */
const UNKNOWN_MS = 1400

export function createHandlers(options: ServeOptions): Handlers {
  const waitMs = options.retries > 0 ? UNKNOWN_MS : 0
  const { wake, pods, authorize, runtimeApi, metrics, pathPrefix, allowLoopback, retries, onError } = options
  const { takeSeat } = options

  function routeOf(url: string, headers: IncomingHttpHeaders): Route {
    const byPath = pathPrefix === undefined ? undefined : routeOfPath(pathPrefix, url, headers)
    return byPath ?? routeOfHeaders(headers, url, allowLoopback)
  }

  /** For whom it counts, where that is known. */
  async function admit(
    route: Route,
    seat: Seat,
    access: Omit<Access, 'namespace' | 'sandbox' | 'sandboxUid' | 'port' | 'path'>,
  ): Promise<string | undefined> {
    const { namespace, id: sandbox, uid: sandboxUid, port, url } = route
    let client: string | undefined
    // Until it is known whose they are, those of one Pod leave the others theirs.
    if (options.peer !== undefined) seat.giveTo(`address ${options.peer}`)
    try {
      if (authorize === allowAll && !options.anyHost) refuseForeignHost(hostOf(access))
      client = await authorize({ ...access, namespace, sandbox, sandboxUid, port, path: url.split('?', 1)[0] ?? url })
    } catch (error) {
      metrics.authorized(namespace, 'deny')
      throw error
    }
    metrics.authorized(namespace, 'allow')
    seat.giveTo(client)
    return client
  }

  const peerOf = (socket: Socket | undefined): string => options.peer ?? socket?.remoteAddress ?? ''

  async function find(route: Route, signal: AbortSignal): Promise<SandboxPod> {
    const known = await pods.find(route, { waitMs: 0, signal })
    if (known) return known
    // It may be asleep, or not known yet.
    const awake = wake(route, signal)
    const pod =
      (await pods.find(route, { waitMs, signal })) ?? ((await awake) && (await pods.find(route, { waitMs, signal })))
    if (pod) return pod
    metrics.failed(route.namespace, 'dial')
    throw cannotConnect(route.id)
  }

  /** A connection to the port; undefined where nobody listens there and the router answers in its place. */
  async function reach(
    route: Route,
    pod: SandboxPod,
    { signal, answers }: { signal: AbortSignal; answers: boolean },
  ): Promise<{ connection: Socket; ip: string } | undefined> {
    const { ip } = pod
    try {
      if (ip === undefined) throw new Error('the sandbox has no network')
      const connection = await dial(ip, route.port, {
        // Where it is the router that will answer, nothing is waited for that nobody has announced.
        retries: answers && !pod.declaredPorts.has(route.port) ? 0 : retries,
        firstDelayMs: FIRST_RETRY_MS,
        longestDelayMs: LONGEST_RETRY_MS,
        timeoutMs: DIAL_MS,
        signal,
        onRetry: () => metrics.retried(route.namespace),
      })
      return { connection, ip }
    } catch (error) {
      signal.throwIfAborted()
      if (answers) return undefined
      metrics.failed(route.namespace, 'dial')
      throw cannotConnect(route.id, error)
    }
  }

  function failed(route: Route | undefined, error: unknown): RouterError {
    if (error instanceof RouterError) {
      if (route && error.status === 504) metrics.failed(route.namespace, 'timeout')
      else if (route && error.status === 502 && error.cause) metrics.failed(route.namespace, 'eof')
      return error
    }
    onError(error, route ? `sandbox ${route.namespace}/${route.id}` : 'a request')
    return new RouterError(500, 'The router could not serve this request.', { cause: error })
  }

  async function exchange(exchange: Exchange): Promise<void> {
    const { request, response, gone } = exchange
    const method = request.method ?? 'GET'
    if (request.url === '/healthz' && (method === 'GET' || method === 'HEAD')) {
      return sendJson(exchange, 200, { status: 'ok' })
    }
    const done = metrics.begin()
    let route: Route | undefined
    let seat: Seat | undefined
    try {
      seat = takeSeat()
      route = routeOf(request.url ?? '', request.headers)
      const peer = peerOf(request.socket)
      const client = await admit(route, seat, { method, isCall: false, headers: request.headers, peer })
      const pod = await find(route, gone)
      const api = runtimeApi?.apiFor(route, false)
      const timeoutMs = route.timeoutMs ?? options.timeoutMs
      const reached = await reach(route, pod, { signal: gone, answers: api !== undefined })
      if (reached) {
        await forward(exchange, { ...upstreamOf(route), ...reached, timeoutMs })
      } else if (api) {
        metrics.answered(api)
        await runtimeApi?.answer(exchange, { route, pod, client, timeoutMs })
      }
    } catch (error) {
      if (!gone.aborted && !response.headersSent) {
        const { status, message } = failed(route, error)
        sendJson(exchange, status, { detail: message })
      } else response.destroy()
    } finally {
      seat?.[Symbol.dispose]()
      done({ method, code: gone.aborted ? 499 : response.statusCode, namespace: route?.namespace })
    }
  }

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const done = metrics.begin()
    const gone = new AbortController()
    socket.once('close', () => gone.abort(new Error('the client went away')))
    const method = request.method ?? 'GET'
    let route: Route | undefined
    let code = 101
    let seat: Seat | undefined
    try {
      seat = takeSeat()
      route = routeOf(request.url ?? '', request.headers)
      refuseOtherOrigin(request)
      const peer = peerOf(request.socket)
      await admit(route, seat, { method, isCall: false, headers: request.headers, peer })
      const pod = await find(route, gone.signal)
      const reached = await reach(route, pod, { signal: gone.signal, answers: false })
      if (!reached) throw cannotConnect(route.id)
      const upstream = { ...upstreamOf(route), ...reached, timeoutMs: route.timeoutMs ?? options.timeoutMs }
      code = await carryUpgrade({ request, socket, head }, upstream)
    } catch (error) {
      const refusal = gone.signal.aborted ? new RouterError(499, 'gone') : failed(route, error)
      code = refusal.status
      if (gone.signal.aborted) socket.destroy()
      else refuseUpgrade(socket, refusal)
    } finally {
      seat?.[Symbol.dispose]()
      done({ method, code, namespace: route?.namespace })
    }
  }

  async function call(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    const done = metrics.begin()
    const gone = new AbortController()
    stream.once('close', () => gone.abort(new Error('the client went away')))
    const method = headers[':method'] ?? 'POST'
    let route: Route | undefined
    let code = 200
    let seat: Seat | undefined
    try {
      seat = takeSeat()
      route = routeOf(headers[':path'] ?? '', headers)
      const peer = peerOf(stream.session?.socket)
      const client = await admit(route, seat, { method, isCall: true, headers, peer })
      const pod = await find(route, gone.signal)
      const api = runtimeApi?.apiFor(route, true)
      const reached = await reach(route, pod, { signal: gone.signal, answers: api !== undefined })
      if (reached) {
        const timeoutMs = route.timeoutMs ?? options.timeoutMs
        await forwardCall(stream, headers, { ...upstreamOf(route), ...reached, timeoutMs })
      } else if (api) {
        metrics.answered(api)
        await runtimeApi?.answerCall(stream, headers, { route, pod, client })
      }
    } catch (error) {
      if (gone.signal.aborted) code = 499
      else {
        const refusal = failed(route, error)
        code = refusal.status
        if (stream.headersSent) stream.close()
        else refuseCall(stream, grpcCodeOf(refusal.status), refusal.message)
      }
    } finally {
      seat?.[Symbol.dispose]()
      done({ method, code, namespace: route?.namespace })
    }
  }

  return { exchange, upgrade, call }
}

function upstreamOf({ port, url, base, id }: Route): Pick<Upstream, 'port' | 'url' | 'base' | 'id'> {
  return { port, url, base, id }
}

/**
 * Pages may open WebSockets anywhere, and the sandbox is not told whose they are. Those of the router itself may; no page can
 * set the header that names a Sandbox, so that a request with it is none of a page's.
 */
function refuseOtherOrigin({ headers }: IncomingMessage): void {
  const { origin, host } = headers
  if (origin === undefined || headers['x-sandbox-id'] !== undefined) return
  if (!URL.canParse(origin) || new URL(origin).host !== host?.toLowerCase())
    throw new RouterError(403, 'WebSockets are not opened for pages of other origins.')
}

/** What a connection is about that somebody made to a port of a Sandbox's Pod where nobody listens. */
export type DoorRoute = Pick<Route, 'namespace' | 'id' | 'port'> & { uid: string }

/** @throws Error where it is none */
export function doorRouteOf(about: unknown): DoorRoute {
  const { namespace, id, uid, port } = about as Partial<DoorRoute>
  if (typeof namespace !== 'string' || typeof id !== 'string' || typeof uid !== 'string' || typeof port !== 'number')
    throw new Error('the connection does not say what it is about')
  return { namespace, id, uid, port }
}

/** The address of the Pod that a connection is of. @throws Error where the connection does not say it */
export function peerOfPod(about: unknown): string {
  const { peer } = about as { peer?: unknown }
  if (typeof peer !== 'string' || !isIP(peer)) throw new Error('the connection does not say whose it is')
  return peer
}

/** For connections of one Sandbox, whose clients may execute in it: they are answered, and carried nowhere. */
export function createDoorHandlers(
  { pods, runtimeApi, metrics, takeSeat, timeoutMs, onError }: ServeOptions & { runtimeApi: RuntimeApi },
  about: DoorRoute,
): Handlers {
  const routeOf = (url: string): Route => ({ ...about, timeoutMs: undefined, url })
  // Who connects is not known; of whoever does, no more than one client's share goes to one Sandbox.
  const client = `sandbox ${about.namespace}/${about.id}`

  function takeOwnSeat(): Seat {
    const seat = takeSeat()
    seat.giveTo(client)
    return seat
  }

  async function find(route: Route, signal: AbortSignal): Promise<SandboxPod> {
    const pod = await pods.find(route, { waitMs: UNKNOWN_MS, signal })
    if (!pod) throw cannotConnect(route.id)
    return pod
  }

  function said(error: unknown, route: Route): RouterError {
    if (error instanceof RouterError) return error
    onError(error, `sandbox ${route.namespace}/${route.id}`)
    return new RouterError(500, 'The router could not serve this request.', { cause: error })
  }

  return {
    async exchange(exchange) {
      const { request, response, gone } = exchange
      const done = metrics.begin()
      const route = routeOf(request.url ?? '/')
      try {
        using _seat = takeOwnSeat()
        refuseForeignHost(hostOf(request))
        const api = runtimeApi.apiFor(route, false)
        if (!api) throw cannotConnect(route.id)
        const pod = await find(route, gone)
        metrics.answered(api)
        await runtimeApi.answer(exchange, { route, pod, client, timeoutMs })
      } catch (error) {
        if (gone.aborted || response.headersSent) response.destroy()
        else {
          const { status, message } = said(error, route)
          sendJson(exchange, status, { detail: message })
        }
      } finally {
        const code = gone.aborted ? 499 : response.statusCode
        done({ method: request.method ?? 'GET', code, namespace: route.namespace })
      }
    },
    async upgrade(_request, socket) {
      refuseUpgrade(socket, cannotConnect(about.id))
    },
    async call(stream, headers) {
      const gone = new AbortController()
      stream.once('close', () => gone.abort(new Error('the client went away')))
      const route = routeOf(headers[':path'] ?? '/')
      try {
        using _seat = takeOwnSeat()
        refuseForeignHost(hostOf({ headers }))
        const api = runtimeApi.apiFor(route, true)
        if (!api) throw cannotConnect(route.id)
        const pod = await find(route, gone.signal)
        metrics.answered(api)
        await runtimeApi.answerCall(stream, headers, { route, pod, client })
      } catch (error) {
        if (gone.signal.aborted) return
        const { status, message } = said(error, route)
        refuseCall(stream, grpcCodeOf(status), message)
      }
    },
  }
}
