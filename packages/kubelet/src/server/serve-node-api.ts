/**
 * The node's API over HTTPS, for the API server of a cluster and for whoever else it lets in. Whoever reaches the port can
 * try: nothing is done for anybody before it is known who he is, and that he may.
 */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { farEnd, IDLE_CONNECTION_MS, readByStream } from '@caisson/api'
import type { NodeApi } from '../streaming/node-api.ts'
import { refuseUpgrade } from '../streaming/upgrade.ts'
import { nodeAccess } from './node-access.ts'
import type { Authenticate } from './node-authentication.ts'
import type { Authorize } from './node-authorization.ts'

export interface ServingTls {
  /** PEM; none yet where it is undefined: then no handshake succeeds. */
  certificate: { certificate: string; key: string } | undefined
  /** PEM of the authorities that client certificates are verified against; none where it is undefined. */
  clientAuthority: string | undefined
}

export interface ServeNodeApiOptions {
  host: string
  /** 0 takes a free one. */
  port: number
  tls: ServingTls
  /** Undefined while the node starts. */
  api(): Pick<NodeApi, 'request' | 'upgrade'> | undefined
  authenticate: Authenticate
  authorize: Authorize
  onError(error: unknown, where: string): void
}

export interface ServedNodeApi extends AsyncDisposable {
  port: number
  /** For connections from now on. */
  renew(tls: ServingTls): void
}

const CONNECTIONS = 2_048
/** Of those nobody is known yet: more push out the oldest. */
const STRANGERS = 256
/** Requests of which the cluster is asked at the same time; more are refused, so that a flood here is none there. */
const REVIEWS = 64
const HANDSHAKE_MS = 10_000
const REVIEW_MS = 10_000

type Refusal = readonly [status: number, message: string]

/** Resolves when it listens. Rejects with the error of `listen`. */
export async function serveNodeApi(options: ServeNodeApiOptions): Promise<ServedNodeApi> {
  const { host, port, onError } = options
  const sockets = new Set<TLSSocket>()
  /** By their far end; the oldest first. */
  const strangers = new Map<string, Socket>()
  let reviews = 0

  async function admitted(request: IncomingMessage): Promise<Refusal | undefined> {
    const access = nodeAccess(request.method, request.url)
    if (reviews >= REVIEWS) return [503, 'too many requests at once']
    reviews++
    const limit = AbortSignal.timeout(REVIEW_MS)
    try {
      const user = await options.authenticate(request, limit)
      if (!user) return [401, 'Unauthorized']
      strangers.delete(farEnd(request.socket))
      if (!access) return [404, '404 page not found']
      if (await options.authorize(user, access, limit)) return undefined
      const { verb, subresources } = access
      return [
        403,
        `Forbidden (user=${user.username}, verb=${verb}, resource=nodes, subresource(s)=${subresources.join(',')})`,
      ]
    } catch (error) {
      onError(error, 'a request to the node')
      return [503, 'the cluster could not be asked who may']
    } finally {
      reviews--
    }
  }

  async function refused(request: IncomingMessage): Promise<Refusal | undefined> {
    return (await admitted(request)) ?? (options.api() ? undefined : [503, 'the node is starting'])
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = await refused(request)
    if (!refusal) return options.api()?.request(request, response)
    const [status, message] = refusal
    response.writeHead(status, {
      'Content-Type': 'text/plain; charset=utf-8',
      'X-Content-Type-Options': 'nosniff',
      'Content-Length': Buffer.byteLength(message),
      // What else may follow on it is nobody's whom we know.
      Connection: 'close',
    })
    response.end(message)
  }

  async function answerUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const refusal = await refused(request)
    if (refusal) refuseUpgrade(socket, ...refusal)
    else options.api()?.upgrade(request, socket, head)
  }

  const { createServer } = process.getBuiltinModule('node:https')
  const server = createServer(
    {
      ...contextOf(options.tls),
      requestCert: true,
      // Those without one may have a token.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_MS,
      headersTimeout: IDLE_CONNECTION_MS,
      keepAliveTimeout: IDLE_CONNECTION_MS,
      connectionsCheckingInterval: 1000,
    },
    (request, response) => void answer(request, response),
  )
  server.maxConnections = CONNECTIONS
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {})
    void answerUpgrade(request, socket, head)
  })
  // Before anybody has shaken hands, which takes its time.
  server.on('connection', (socket: Socket) => {
    const end = farEnd(socket)
    strangers.set(end, socket)
    socket.once('close', () => {
      if (strangers.get(end) === socket) strangers.delete(end)
    })
    const [oldest] = strangers.values()
    if (strangers.size > STRANGERS) oldest?.destroy()
  })
  server.on('secureConnection', readByStream)
  server.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.listen({ host, port })
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    renew: (tls) => server.setSecureContext(contextOf(tls)),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of [...sockets, ...strangers.values()]) socket.destroy()
      await closed
    },
  }
}

function contextOf({ certificate, clientAuthority }: ServingTls): Record<string, unknown> {
  return {
    minVersion: 'TLSv1.2',
    // Without one of its own the machine's authorities would be asked, which say nothing about users of a cluster.
    ca: clientAuthority ?? [],
    ...(certificate && { cert: certificate.certificate, key: certificate.key }),
  }
}
