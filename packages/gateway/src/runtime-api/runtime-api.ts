/** Which requests the router answers itself where nobody listens, and how. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { Client } from '@caisson/client'
import type { Exchange } from '../proxy/exchange.ts'
import { RouterError } from '../router-error.ts'
import type { Route } from '../routing/route.ts'
import type { SandboxPod } from '../routing/sandbox-pods.ts'
import { ExecError } from './exec-error.ts'
import { FILES_PORT, isFileServicePath, serveFiles } from './file-service.ts'
import { createHeldBytes } from './held-bytes.ts'
import { LEGACY_PORT, serveLegacy } from './legacy.ts'
import { createProcessService, PROCESS_PORT } from './process-service.ts'

export type RuntimeApiName = 'legacy' | 'files' | 'processes'

export interface RuntimeApi {
  /** Undefined where such a request is not the router's to answer. `isCall`: it is one of gRPC. */
  apiFor(route: Pick<Route, 'port' | 'url'>, isCall: boolean): RuntimeApiName | undefined
  /** Rejects with a RouterError, or with another error where the answer has begun. */
  answer(exchange: Exchange, options: Asked & { timeoutMs: number }): Promise<void>
  /** Never rejects. */
  answerCall(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, options: Asked): Promise<void>
}

interface Asked {
  route: Route
  pod: SandboxPod
  /** For whom what is held counts, where that is known. */
  client: string | undefined
}

/** Sixteen outputs of the largest size, and hundreds of thousands of the usual ones. */
const HELD_BYTES = 256 * 1024 * 1024
/** Of one client. */
const HELD_BYTES_EACH = HELD_BYTES / 2

export function createRuntimeApi(cluster: Client): RuntimeApi {
  const hold = createHeldBytes(HELD_BYTES, HELD_BYTES_EACH)
  const processes = createProcessService(cluster, hold)
  return {
    apiFor({ port, url }, isCall) {
      if (isCall) return port === PROCESS_PORT ? 'processes' : undefined
      if (port === LEGACY_PORT) return 'legacy'
      return port === FILES_PORT && isFileServicePath(pathOf(url)) ? 'files' : undefined
    },

    async answer(exchange, { route, pod, client, timeoutMs }) {
      refusePages(exchange)
      const silent = new AbortController()
      exchange.request.setTimeout(timeoutMs, () => {
        silent.abort(new RouterError(504, `The sandbox did not answer within ${timeoutMs / 1000} s: ${route.id}`))
      })
      const signal = AbortSignal.any([exchange.gone, silent.signal])
      using held = hold(client)
      const query = new URLSearchParams(route.url.slice(pathOf(route.url).length))
      const call = { exchange, client: cluster, pod, path: pathOf(route.url), query, timeoutMs, signal, held }
      try {
        await (route.port === LEGACY_PORT ? serveLegacy(call) : serveFiles(call))
        await sent(exchange, signal)
      } catch (error) {
        if (silent.signal.aborted) throw silent.signal.reason
        throw error instanceof ExecError ? routerErrorOf(error) : error
      }
    },

    answerCall: (stream, headers, { route, pod, client }) =>
      processes.serve(stream, headers, { pod, path: pathOf(route.url), client }),
  }
}

/** Until the client has taken it, the answer is held. */
function sent({ response }: Exchange, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  response.once('finish', resolve).once('close', resolve)
  signal.addEventListener('abort', () => response.destroy(), { once: true })
  if (response.writableFinished || response.destroyed) resolve()
  return promise
}

function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? url
}

/**
 * A page in a browser that reaches the router through somebody's tunnel must not execute commands. A page could make a
 * name of its own lead to the tunnel, and be of the same origin then; clients that are no browsers send neither header.
 */
function refusePages({ request }: Exchange): void {
  if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined)
    throw new RouterError(403, 'The runtime API is not served to pages in browsers.')
}

const STATUS = { 'no-shell': 501, refused: 502, 'too-large': 500, busy: 503, failed: 502 } as const

function routerErrorOf(error: ExecError): RouterError {
  return new RouterError(STATUS[error.code], error.message, { cause: error })
}
