/** The door of one Sandbox, for clients that may execute in it: they are answered, and carried nowhere. */
import { cannotConnect } from '../router-error.ts'
import type { Route } from '../routing/route.ts'
import type { SandboxPod } from '../routing/sandbox-pods.ts'
import type { RuntimeApi } from '../runtime-api/runtime-api.ts'
import { type Asked, askedByCall, askedByExchange, askedByUpgrade, createAttend } from './attend.ts'
import { hostOf } from './exchange.ts'
import type { Handlers } from './listener.ts'
import { refuseForeignHost } from './local-host.ts'
import { type ServeOptions, UNKNOWN_MS } from './serve.ts'

/** What a connection is about that somebody made to a port of a Sandbox's Pod where nobody listens. */
export type DoorRoute = Pick<Route, 'namespace' | 'id' | 'port'> & { uid: string }

/** @throws Error where it is none */
export function doorRouteOf(about: unknown): DoorRoute {
  const { namespace, id, uid, port } = about as Partial<DoorRoute>
  if (typeof namespace !== 'string' || typeof id !== 'string' || typeof uid !== 'string' || typeof port !== 'number')
    throw new Error('the connection does not say what it is about')
  return { namespace, id, uid, port }
}

export function createDoorHandlers(options: ServeOptions & { runtimeApi: RuntimeApi }, about: DoorRoute): Handlers {
  const { pods, runtimeApi, metrics, timeoutMs } = options
  // Who connects is not known; of whoever does, no more than one client's share goes to one Sandbox.
  const client = `sandbox ${about.namespace}/${about.id}`
  const attend = createAttend(options, (url) => ({ ...about, timeoutMs: undefined, url: url || '/' }))

  /** Has a Sandbox that may be asked answer by an API, if there is one for what is asked. */
  function answer(
    asked: Asked,
    isCall: boolean,
    by: (asked: { route: Route; pod: SandboxPod; client: string }) => Promise<void>,
  ): Promise<void> {
    return attend(asked, async (route, seat) => {
      seat.giveTo(client)
      refuseForeignHost(hostOf(asked))
      const api = runtimeApi.apiFor(route, isCall)
      const pod = api && (await pods.find(route, { waitMs: UNKNOWN_MS, signal: asked.gone }))
      if (!pod) throw cannotConnect(route.id)
      metrics.answered(api)
      await by({ route, pod, client })
    })
  }

  return {
    exchange: (exchange) =>
      answer(askedByExchange(exchange), false, (asked) => runtimeApi.answer(exchange, { ...asked, timeoutMs })),
    upgrade: (request, socket) =>
      attend(askedByUpgrade(request, socket), () => Promise.reject(cannotConnect(about.id))),
    call: (stream, headers) =>
      answer(askedByCall(stream, headers), true, (asked) => runtimeApi.answerCall(stream, headers, asked)),
  }
}
