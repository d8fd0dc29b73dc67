/** Listens for HTTP/1.1 and for HTTP/2 without TLS on one port: the first bytes of a connection say which it is. */

import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  createServer as createHttp2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { IDLE_CONNECTION_MS, readByStream } from '@caisson/api'
import { createShares } from '../shares.ts'
import { type Exchange, openExchange } from './exchange.ts'
import { followTlsFiles, type TlsOptions } from './tls-files.ts'

export interface Handlers {
  /** Never rejects. */
  exchange(exchange: Exchange): Promise<void>
  /** Never rejects. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>
  /** A gRPC call. Never rejects. */
  call(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void>
}

export type ListenAddress = { host: string; port: number } | { path: string }

export interface Listener extends AsyncDisposable {
  /** Undefined on a Unix socket. */
  port: number | undefined
}

const SOCKETS = { allowHalfOpen: true, noDelay: true }
const MAX_CONNECTIONS = 2048
/** From one address, other than this machine's own, behind which there is anybody. */
const MAX_CONNECTIONS_EACH = 512
const MAX_HEADER_BYTES = 64 << 10
const HANDSHAKE_MS = 15_000
/** How late the end of slow headers may be seen, of the time that they have. */
const CHECKS = 3
const STREAMS_PER_CONNECTION = 128
const PREFACE = Buffer.from('PRI * HTTP/2.0')

/**
 * What a client may take its time for. That a connection may be silent for long from its beginning costs no more than that
 * it may be after an answer, which anybody gets: what is bounded is how many there are, of all and of one address. Once
 * something has come of a request the time for slow ones runs.
 */
export interface ConnectionTimes {
  /** A connection on which nothing is asked is kept, ms. */
  idleMs: number
  /** Between the first byte of a request and the end of its headers, ms; seen late by up to a third. */
  headersMs: number
}

export const CONNECTION_TIMES: ConnectionTimes = { idleMs: IDLE_CONNECTION_MS, headersMs: 15_000 }

export function listen(address: ListenAddress, handlers: Handlers, times = CONNECTION_TIMES): Promise<Listener> {
  return accept(address, createServer(SOCKETS), telling(handlers, times))
}

/** The same within TLS. `onError` hears of files that are changed and wrong. */
export async function listenSecurely(
  address: ListenAddress,
  handlers: Handlers,
  { onError, ...tls }: TlsOptions & { onError(error: unknown): void },
): Promise<Listener> {
  const { clients, minVersion = 'TLSv1.2' } = tls
  const files = followTlsFiles(tls, {
    onError,
    onChange: (context) => server.setSecureContext({ ...context, minVersion }),
  })
  const server = createTlsServer({
    ...SOCKETS,
    ...files.context,
    minVersion,
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: HANDSHAKE_MS,
    requestCert: clients !== 'off',
    rejectUnauthorized: clients === 'required',
  })
  // That a stranger speaks otherwise is no news.
  server.on('tlsClientError', () => {})
  const { take, close } = telling(handlers, CONNECTION_TIMES)
  await using stack = new AsyncDisposableStack()
  stack.use(files)
  const listener = await accept(address, server, {
    take(socket) {
      if (clients === 'optional' && !isProven(socket as TLSSocket)) socket.destroy()
      else take(socket)
    },
    close() {
      files[Symbol.dispose]()
      close()
    },
  })
  stack.move()
  return listener
}

/** No certificate was shown, or a right one. */
function isProven(socket: TLSSocket): boolean {
  return socket.authorized || Object.keys(socket.getPeerCertificate()).length === 0
}

interface Acceptor {
  take(socket: Socket): void
  close(): void
}

function telling(handlers: Handlers, times: ConnectionTimes): Acceptor {
  const servers = protocolServers(handlers, times)
  return { take: (socket) => tellApart(socket, servers, times), close: () => servers.close() }
}

/**
 * Listens for connections whose first line is for this process: whoever makes them is trusted, and says in JSON what they
 * are about. What follows is a client's. `handlersFor` may throw: then the connection is closed.
 */
export function listenAtDoor(address: ListenAddress, handlersFor: (about: unknown) => Handlers): Promise<Listener> {
  return accept(address, createServer(SOCKETS), {
    take(socket) {
      firstLine(socket, (line) => {
        const servers = protocolServers(handlersFor(JSON.parse(line)), CONNECTION_TIMES)
        socket.once('close', () => servers.close())
        tellApart(socket, servers, CONNECTION_TIMES)
      })
    },
    close() {},
  })
}

async function accept(address: ListenAddress, server: Server, { take, close }: Acceptor): Promise<Listener> {
  const sockets = new Set<Socket>()
  const connections = createShares(MAX_CONNECTIONS, MAX_CONNECTIONS_EACH)
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {})
    const origin = originOf(socket)
    if (!connections.take(origin, 1)) {
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.on('close', () => {
      sockets.delete(socket)
      connections.give(origin, 1)
    })
    if (!('setSecureContext' in server)) take(socket)
  })
  server.on('secureConnection', (socket: Socket) => {
    socket.on('error', () => {})
    take(socket)
  })
  server.maxConnections = MAX_CONNECTIONS
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(address, resolve)
  await promise
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound ? bound.port : undefined,
    async [Symbol.asyncDispose]() {
      server.close()
      close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

const OWN: ReadonlySet<string | undefined> = new Set([undefined, '127.0.0.1', '::1', '::ffff:127.0.0.1'])

function originOf({ remoteAddress }: Socket): string | undefined {
  return OWN.has(remoteAddress) ? undefined : remoteAddress
}

interface ProtocolServers {
  http1: EventEmitter
  http2: EventEmitter
  close(): void
}

/** One for each protocol, which listen nowhere themselves. */
function protocolServers(handlers: Handlers, { idleMs, headersMs }: ConnectionTimes): ProtocolServers {
  const { createServer: createHttpServer } = process.getBuiltinModule('node:http')
  const http1 = createHttpServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: headersMs,
      connectionsCheckingInterval: headersMs / CHECKS,
      // Uploads have no end that could be foreseen; silence ends them.
      requestTimeout: 0,
      keepAliveTimeout: idleMs,
    },
    (request: IncomingMessage, response: ServerResponse) => void handlers.exchange(openExchange(request, response)),
  )
  http1.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {})
    void handlers.upgrade(request, socket, head)
  })
  const http2 = createHttp2Server({ settings: { maxConcurrentStreams: STREAMS_PER_CONNECTION } })
  http2.on('stream', (stream: ServerHttp2Stream, headers, _flags, rawHeaders) => {
    stream.on('error', () => {})
    if (isCall(headers)) {
      void handlers.call(stream, headers)
      return
    }
    // Not by the event for whole requests: it has Node's own answer to every stream, calls too, end with no trailers.
    const response = new Http2ServerResponse(stream)
    if (headers.expect === '100-continue') response.writeContinue()
    void handlers.exchange(openExchange(new Http2ServerRequest(stream, headers, {}, rawHeaders), response))
  })
  http2.on('sessionError', () => {})
  http2.on('session', (session: ServerHttp2Session) => {
    // As long as something is under way its silence is that one's affair.
    let streams = 0
    session.on('stream', (stream: ServerHttp2Stream) => {
      streams++
      stream.once('close', () => streams--)
    })
    session.setTimeout(idleMs, () => {
      if (streams === 0) session.destroy()
    })
  })
  // Without this it looks at no connection's age.
  http1.emit('listening')
  return {
    http1,
    http2,
    close() {
      http1.close()
      http1.closeAllConnections()
      http2.close()
    },
  }
}

function isCall(headers: IncomingHttpHeaders): boolean {
  return headers['content-type']?.startsWith('application/grpc') ?? false
}

/** Reads as much as it takes, and puts it back. */
function tellApart(socket: Socket, { http1, http2 }: ProtocolServers, times: ConnectionTimes): void {
  collectFirst(socket, times, (seen) => {
    const length = Math.min(seen.length, PREFACE.length)
    const matches = seen.subarray(0, length).equals(PREFACE.subarray(0, length))
    if (matches && length < PREFACE.length) return undefined
    return {
      rest: seen,
      goOn() {
        ;(matches ? http2 : http1).emit('connection', socket)
        // A session of HTTP/2 reads by itself, first what was put back.
        if (matches) return
        readByStream(socket)
        socket.resume()
      },
    }
  })
}

const LINE_LIMIT = 4096

function firstLine(socket: Socket, take: (line: string) => void): void {
  collectFirst(socket, CONNECTION_TIMES, (seen) => {
    const end = seen.indexOf('\n')
    if (end < 0 && seen.length < LINE_LIMIT) return undefined
    return {
      rest: seen.subarray(end + 1),
      goOn() {
        try {
          take(seen.subarray(0, Math.max(end, 0)).toString('utf8'))
        } catch {
          socket.destroy()
        }
      },
    }
  })
}

/** Reads until `decide` has enough, puts the rest back, and goes on with what it says. */
function collectFirst(
  socket: Socket,
  { idleMs, headersMs }: ConnectionTimes,
  decide: (seen: Buffer) => { rest: Buffer; goOn(): void } | undefined,
): void {
  let seen: Buffer = Buffer.alloc(0)
  let timer = setTimeout(() => socket.destroy(), idleMs)
  socket.once('close', () => clearTimeout(timer))
  socket.on('data', look)
  // Who hangs up before that will say nothing more, and would count among the connections for as long as one may be idle.
  socket.on('end', hangUp)
  function hangUp(): void {
    socket.destroy()
  }
  function look(chunk: Buffer): void {
    if (seen.length === 0) {
      clearTimeout(timer)
      timer = setTimeout(() => socket.destroy(), headersMs)
    }
    seen = Buffer.concat([seen, chunk])
    const decided = decide(seen)
    if (!decided) return
    clearTimeout(timer)
    socket.off('data', look)
    socket.off('end', hangUp)
    socket.pause()
    if (decided.rest.length > 0) socket.unshift(decided.rest)
    decided.goOn()
  }
  // It was paused where this is not the first look at it.
  if (socket.isPaused()) socket.resume()
}
