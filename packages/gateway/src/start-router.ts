/** The router: listens, follows the Pods of Sandboxes, and tells how it is. */
import type { Client } from '@caisson/client'
import { type Authorize, allowAll } from './authz/authorize.ts'
import {
  authorizeByScopedToken,
  parseSharedSecret,
  parseVerificationKeys,
  type ScopedTokenKeys,
} from './authz/scoped-token.ts'
import { authorizeByTokenReview } from './authz/token-review.ts'
import { createRouterMetrics, type RouterMetrics } from './metrics.ts'
import { createDoorHandlers, doorRouteOf } from './proxy/door.ts'
import { endWith, sendHead, sendJson } from './proxy/exchange.ts'
import {
  type ConnectionTimes,
  type ListenAddress,
  type Listener,
  listen,
  listenAtDoor,
  listenSecurely,
} from './proxy/listener.ts'
import { createSeats } from './proxy/seats.ts'
import { createHandlers, peerOfPod, type ServeOptions } from './proxy/serve.ts'
import type { TlsOptions } from './proxy/tls-files.ts'
import { followSandboxPods, type SandboxPods } from './routing/sandbox-pods.ts'
import { createWaker } from './routing/wake.ts'
import { createRuntimeApi } from './runtime-api/runtime-api.ts'

export type AuthzOptions =
  | { mode: 'allow-all' }
  | { mode: 'tokenreview'; audiences?: readonly string[] }
  /**
   * `keys`: the content of the file with the public keys. `shared`: the secret of tokens of version 1, which are taken
   * until that moment, ms since the epoch; without one for ever.
   */
  | { mode: 'scoped-token'; keys?: string; shared?: { secret: Buffer; until?: number } }

export interface RouterOptions {
  client: Client
  listen: ListenAddress
  /** Also within TLS. */
  listenTls?: { address: ListenAddress } & TlsOptions
  /** For `/metrics`, `/healthz` and `/readyz`. */
  listenAdmin?: ListenAddress
  /**
   * For connections that somebody made to a port of a Sandbox's Pod where nobody listens. They begin with a line of JSON
   * that says which: `{"namespace":…,"id":…,"uid":…,"port":…}`, of the Sandbox. Whoever can connect here may execute in
   * every one of them.
   */
  listenDoor?: ListenAddress
  /**
   * For callers who show a token of the cluster and may what they ask for, whatever `authz` is elsewhere. Connections begin
   * with a line of JSON that says by which address they count: `{"peer":"10.1.2.3"}`.
   */
  listenReviewed?: ListenAddress
  authz: AuthzOptions
  /** Only the Sandboxes of one namespace. */
  namespace?: string
  /** Whether a Pod's address may be one of loopback: where the router is a part of that Pod. */
  allowLoopbackPodIp?: boolean
  /** Such as `/router`. */
  pathPrefix?: string
  /** Silence that is borne, ms. Default 180,000. */
  timeoutMs?: number
  /** Of connections to `listen`. Default `CONNECTION_TIMES`. */
  times?: ConnectionTimes
  /** Further attempts to connect to a sandbox. Default 3. */
  retries?: number
  /** False: requests are carried only, and nothing is executed. */
  runtimeApi?: boolean
  version: string
  onError(error: unknown, where: string): void
}

export interface Router extends AsyncDisposable {
  /** Undefined on a Unix socket. */
  port: number | undefined
  tlsPort: number | undefined
  adminPort: number | undefined
  /** Resolves when it knows every Sandbox's Pod that there is. */
  ready(signal?: AbortSignal): Promise<void>
}

const TIMEOUT_MS = 180_000
const RETRIES = 3

/** Resolves when it listens. */
export async function startRouter(options: RouterOptions): Promise<Router> {
  const { client, authz, namespace, pathPrefix, onError, allowLoopbackPodIp: allowLoopback = false } = options
  await using stack = new AsyncDisposableStack()
  const metrics = createRouterMetrics(options.version)
  const pods = stack.use(followSandboxPods(client, { allowLoopback, ...(namespace !== undefined && { namespace }) }))
  const waker = createWaker(client, Date.now)
  stack.use(pods.onCome(waker.forget))
  const runtimeApi = (options.runtimeApi ?? true) ? createRuntimeApi(client) : undefined
  const authorizing = (authz: AuthzOptions): Authorize =>
    authorizeBy(
      authz,
      client,
      ({ port, path, isCall }) => runtimeApi?.apiFor({ port, url: path }, isCall) !== undefined,
    )
  const serving: ServeOptions = {
    wake: waker.wake,
    takeSeat: createSeats(),
    pods,
    authorize: authorizing(authz),
    runtimeApi,
    metrics,
    pathPrefix,
    allowLoopback,
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    retries: options.retries ?? RETRIES,
    onError,
  }
  const listener = stack.use(await listen(options.listen, createHandlers(serving), options.times))
  const secure = options.listenTls && stack.use(await listenTls(options.listenTls, serving))
  if (options.listenReviewed) {
    const reviewed = { ...serving, authorize: authorizing({ mode: 'tokenreview' }) }
    const handlersFor = (about: unknown) => createHandlers({ ...reviewed, peer: peerOfPod(about) })
    stack.use(await listenAtDoor(options.listenReviewed, handlersFor))
  }
  if (options.listenDoor && runtimeApi) {
    const answering = { ...serving, runtimeApi }
    stack.use(await listenAtDoor(options.listenDoor, (about) => createDoorHandlers(answering, doorRouteOf(about))))
  }
  const admin = options.listenAdmin && stack.use(await listenAdmin(options.listenAdmin, pods, metrics))
  const owned = stack.move()
  return {
    port: listener.port,
    tlsPort: secure?.port,
    adminPort: admin?.port,
    ready: (signal) => pods.synced(signal),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** By whatever name: a page that has its own lead here has no certificate of it. */
function listenTls(
  { address, ...tls }: NonNullable<RouterOptions['listenTls']>,
  serving: ServeOptions,
): Promise<Listener> {
  const onError = (error: unknown): void => serving.onError(error, 'the certificate, which stays what it was')
  return listenSecurely(address, createHandlers({ ...serving, anyHost: true }), { ...tls, onError })
}

function authorizeBy(
  authz: AuthzOptions,
  client: Client,
  execs: Parameters<typeof authorizeByTokenReview>[1],
): Authorize {
  if (authz.mode === 'allow-all') return allowAll
  if (authz.mode === 'scoped-token') return authorizeByScopedToken(scopedTokenKeys(authz), Date.now)
  const { audiences } = authz
  return authorizeByTokenReview({ client, now: Date.now, ...(audiences && { audiences }) }, execs)
}

function scopedTokenKeys({ keys, shared }: Extract<AuthzOptions, { mode: 'scoped-token' }>): ScopedTokenKeys {
  return {
    keys: keys === undefined ? new Map() : parseVerificationKeys(keys),
    ...(shared && { shared: { secret: parseSharedSecret(shared.secret), until: shared.until } }),
  }
}

function listenAdmin(address: ListenAddress, pods: SandboxPods, metrics: RouterMetrics): Promise<Listener> {
  return listen(address, {
    async exchange(exchange) {
      const path = exchange.request.url
      if (path === '/healthz') return sendJson(exchange, 200, { status: 'ok' })
      if (path === '/readyz') {
        return sendJson(exchange, pods.connected ? 200 : 503, { status: pods.connected ? 'ok' : 'not ready' })
      }
      if (path !== '/metrics') return sendJson(exchange, 404, { detail: 'Not Found' })
      const body = Buffer.from(await metrics.text())
      sendHead(exchange, 200, ['Content-Type', metrics.contentType, 'Content-Length', String(body.length)])
      endWith(exchange, body)
    },
    async upgrade(_request, socket) {
      socket.destroy()
    },
    async call(stream) {
      stream.close()
    },
  })
}
