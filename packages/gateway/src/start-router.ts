/** The router: listens, follows the Pods of Sandboxes, and tells how it is. */
import { type Client, forwardPort, isNotFound, resources } from '@caisson/client'
import { type Authorize, allowAll } from './authz/authorize.ts'
import { authorizeByScopedToken, parseVerificationKeys } from './authz/scoped-token.ts'
import { authorizeByTokenReview } from './authz/token-review.ts'
import { createRouterMetrics, type RouterMetrics } from './metrics.ts'
import { endWith, sendHead, sendJson } from './proxy/exchange.ts'
import { type ListenAddress, type Listener, listen, listenAtDoor } from './proxy/listener.ts'
import { createDoorHandlers, createHandlers, doorRouteOf, type ServeOptions } from './proxy/serve.ts'
import type { Route } from './routing/route.ts'
import { followSandboxPods, type SandboxPods, sandboxOf } from './routing/sandbox-pods.ts'
import { createRuntimeApi } from './runtime-api/runtime-api.ts'

export type AuthzOptions =
  | { mode: 'allow-all' }
  | { mode: 'tokenreview'; audiences?: readonly string[] }
  /** `keys`: the content of the file with the public keys. */
  | { mode: 'scoped-token'; keys: string }

export interface RouterOptions {
  client: Client
  listen: ListenAddress
  /** For `/metrics`, `/healthz` and `/readyz`. */
  listenAdmin?: ListenAddress
  /**
   * For connections that somebody made to a port of a Sandbox's Pod where nobody listens. They begin with a line of JSON
   * that says which: `{"namespace":…,"id":…,"uid":…,"port":…}`, of the Sandbox. Whoever can connect here may execute in
   * every one of them.
   */
  listenDoor?: ListenAddress
  authz: AuthzOptions
  /** Only the Sandboxes of one namespace. */
  namespace?: string
  /** Whether a Pod's address may be one of loopback: where the router is a part of that Pod. */
  allowLoopbackPodIp?: boolean
  /** Such as `/router`. */
  pathPrefix?: string
  /** Silence that is borne, ms. Default 180,000. */
  timeoutMs?: number
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
  const runtimeApi = (options.runtimeApi ?? true) ? createRuntimeApi(client) : undefined
  const serving: ServeOptions = {
    wake: (route, signal) => wake(client, route, signal),
    pods,
    authorize: authorizeBy(
      authz,
      client,
      ({ port, path, isCall }) => runtimeApi?.apiFor({ port, url: path }, isCall) !== undefined,
    ),
    runtimeApi,
    metrics,
    pathPrefix,
    allowLoopback,
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    retries: options.retries ?? RETRIES,
    onError,
  }
  const listener = stack.use(await listen(options.listen, createHandlers(serving)))
  if (options.listenDoor && runtimeApi) {
    const answering = { ...serving, runtimeApi }
    stack.use(await listenAtDoor(options.listenDoor, (about) => createDoorHandlers(answering, doorRouteOf(about))))
  }
  const admin = options.listenAdmin && stack.use(await listenAdmin(options.listenAdmin, pods, metrics))
  const owned = stack.move()
  return {
    port: listener.port,
    adminPort: admin?.port,
    ready: (signal) => pods.synced(signal),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const WAKE_MS = 30_000

/** Whoever connects to a Pod that sleeps wakes it: a connection that nothing is done with does. */
async function wake(client: Client, { namespace, id, port }: Route, signal: AbortSignal): Promise<boolean> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(WAKE_MS)])
    // What sleeps has no Pod, or one that is on its way out. Another's of that name is not connected to.
    const present = await client.get(resources.pods, id, { namespace, signal: limit }).catch(unlessNotFound)
    if (present && sandboxOf(present) !== id) return false
    const connection = await forwardPort(client, id, { namespace, port, signal: limit })
    connection.on('error', () => {}).destroy()
    return true
  } catch {
    return false
  }
}

function unlessNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error
}

function authorizeBy(
  authz: AuthzOptions,
  client: Client,
  execs: Parameters<typeof authorizeByTokenReview>[1],
): Authorize {
  if (authz.mode === 'allow-all') return allowAll
  if (authz.mode === 'scoped-token') return authorizeByScopedToken(parseVerificationKeys(authz.keys), Date.now)
  const { audiences } = authz
  return authorizeByTokenReview({ client, now: Date.now, ...(audiences && { audiences }) }, execs)
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
