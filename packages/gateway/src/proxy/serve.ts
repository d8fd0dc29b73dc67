/** What happens to a request: route, authorize, find the sandbox, connect, carry, or answer in its place. */
import type { IncomingMessage } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http2'
import { isIP, type Socket } from 'node:net'
import { type Access, type Authorize, allowAll } from '../authz/authorize.ts'
import { cannotConnect, RouterError } from '../router-error.ts'
import { dial } from '../routing/dial.ts'
import { routeOfPath } from '../routing/path-route.ts'
import { type Route, routeOfHeaders } from '../routing/route.ts'
import type { SandboxPod, SandboxPods } from '../routing/sandbox-pods.ts'
import type { Waker } from '../routing/wake.ts'
import type { RuntimeApi } from '../runtime-api/runtime-api.ts'
import { type AttendOptions, askedByCall, askedByExchange, askedByUpgrade, createAttend } from './attend.ts'
import { hostOf, sendJson } from './exchange.ts'
import { forward, type Upstream } from './forward.ts'
import { forwardCall } from './forward-call.ts'
import type { Handlers } from './listener.ts'
import { refuseForeignHost } from './local-host.ts'
import type { Seat } from './seats.ts'
import { carryUpgrade } from './upgrade.ts'

export interface ServeOptions extends AttendOptions {
  pods: SandboxPods
  authorize: Authorize
  wake: Waker['wake']
  /** Absent where nothing may be executed: the router then only carries. */
  runtimeApi: RuntimeApi | undefined
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
}

const FIRST_RETRY_MS = 200
const LONGEST_RETRY_MS = 800
const DIAL_MS = 10_000
/** So long a Sandbox that was made just now may take to be known, ms: as long as all retries together. */
export const UNKNOWN_MS = 1400

export function createHandlers(options: ServeOptions): Handlers {
  const waitMs = options.retries > 0 ? UNKNOWN_MS : 0
  const { wake, pods, authorize, runtimeApi, metrics, pathPrefix, allowLoopback, retries } = options
  const attend = createAttend(options, routeOf)

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

  return {
    async exchange(exchange) {
      const asked = askedByExchange(exchange)
      const { method, url, headers, gone } = asked
      if (url === '/healthz' && (method === 'GET' || method === 'HEAD')) {
        return sendJson(exchange, 200, { status: 'ok' })
      }
      await attend(asked, async (route, seat) => {
        const peer = peerOf(exchange.request.socket)
        const client = await admit(route, seat, { method, isCall: false, headers, peer })
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
      })
    },
    async upgrade(request, socket, head) {
      const asked = askedByUpgrade(request, socket)
      const { method, headers, gone } = asked
      await attend(asked, async (route, seat) => {
        refuseOtherOrigin(request)
        await admit(route, seat, { method, isCall: false, headers, peer: peerOf(request.socket) })
        const pod = await find(route, gone)
        const reached = await reach(route, pod, { signal: gone, answers: false })
        if (!reached) throw cannotConnect(route.id)
        const upstream = { ...upstreamOf(route), ...reached, timeoutMs: route.timeoutMs ?? options.timeoutMs }
        asked.code = await carryUpgrade({ request, socket, head }, upstream)
      })
    },
    async call(stream, headers) {
      const asked = askedByCall(stream, headers)
      const { method, gone } = asked
      await attend(asked, async (route, seat) => {
        const client = await admit(route, seat, { method, isCall: true, headers, peer: peerOf(stream.session?.socket) })
        const pod = await find(route, gone)
        const api = runtimeApi?.apiFor(route, true)
        const reached = await reach(route, pod, { signal: gone, answers: api !== undefined })
        if (reached) {
          const timeoutMs = route.timeoutMs ?? options.timeoutMs
          await forwardCall(stream, headers, { ...upstreamOf(route), ...reached, timeoutMs })
        } else if (api) {
          metrics.answered(api)
          await runtimeApi?.answerCall(stream, headers, { route, pod, client })
        }
      })
    },
  }
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

/** The address of the Pod that a connection is of. @throws Error where the connection does not say it */
export function peerOfPod(about: unknown): string {
  const { peer } = about as { peer?: unknown }
  if (typeof peer !== 'string' || !isIP(peer)) throw new Error('the connection does not say whose it is')
  return peer
}
