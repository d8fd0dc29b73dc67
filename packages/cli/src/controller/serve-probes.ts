/** The doors of a controller: /healthz and /readyz for the kubelet, /metrics for Prometheus. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { RequestListener, Server } from 'node:http'
import { join } from 'node:path'
import { CliError } from '../cli-error.ts'
import { boundConnections } from './bound-connections.ts'

// An import would load all that the modules offer.
const { createServer } = process.getBuiltinModule('node:http')

export interface Answer {
  status: number
  contentType: string
  body: string
}

export interface ServeOptions {
  /** Of the address, for errors. */
  flag: string
  /** `host:port`; without a host on all addresses. `0` serves nothing. */
  address: string
  paths: Readonly<Record<string, () => Answer | Promise<Answer>>>
  /** Serves TLS with `tls.crt` and `tls.key` of a directory. */
  tls?: { directory: string; minVersion: 'TLSv1.2' | 'TLSv1.3' }
}

/** Who scrapes and probes. */
const CONNECTIONS = 64
const REQUEST_MS = 10_000
/** Certificates are renewed in place. */
const CERTIFICATE_CHECK_MS = 60_000

/** Resolves with the port once it listens. */
export async function servePaths(options: ServeOptions): Promise<AsyncDisposable & { port: number | undefined }> {
  const address = parseAddress(options.flag, options.address)
  if (!address) return { port: undefined, async [Symbol.asyncDispose]() {} }
  const listener: RequestListener = (request, response) => {
    const answer = Object.hasOwn(options.paths, request.url ?? '') ? options.paths[request.url ?? ''] : undefined
    const send = ({ status, contentType, body }: Answer): void => {
      response.writeHead(status, { 'content-type': contentType, 'x-content-type-options': 'nosniff' }).end(body)
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(plain(405, 'only GET'))
    if (!answer) return send(plain(404, 'not found'))
    Promise.resolve(answer()).then(send, (error: unknown) => send(plain(500, String(error))))
  }
  const limits = { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS, connectionsCheckingInterval: 1000 }
  const server = options.tls ? tlsServer(options.tls, limits, listener) : createServer(limits, listener)
  boundConnections(server, CONNECTIONS)
  server.listen(address)
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new CliError('unavailable', `${options.flag}: cannot listen on ${options.address}: ${String(error)}`, {
      cause: error,
    })
  }
  const bound = server.address()
  return {
    port: typeof bound === 'object' ? bound?.port : undefined,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

export function plain(status: number, text: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${text}\n` }
}

function tlsServer(tls: NonNullable<ServeOptions['tls']>, limits: object, listener: RequestListener): Server {
  const read = () => ({
    cert: readFileSync(join(tls.directory, 'tls.crt')),
    key: readFileSync(join(tls.directory, 'tls.key')),
    minVersion: tls.minVersion,
  })
  const server = process.getBuiltinModule('node:https').createServer({ ...limits, ...read() }, listener)
  const renew = setInterval(() => {
    try {
      server.setSecureContext(read())
    } catch {
      // Half renewed: the old one serves until the next look.
    }
  }, CERTIFICATE_CHECK_MS).unref()
  return server.once('close', () => clearInterval(renew))
}

function parseAddress(flag: string, text: string): { host?: string; port: number } | undefined {
  if (text === '0' || text === '') return undefined
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65_535)
    throw new CliError('usage', `${flag} takes host:port, :port or 0, not ${JSON.stringify(text)}`)
  const host = match[1] ?? match[2]
  return host ? { host, port } : { port }
}
