/** Listens for HTTP/1.1 and for HTTP/2 without TLS on one port: the first bytes of a connection say which it is. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  createServer as createHttp2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Exchange, openExchange } from './exchange.ts'

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

const MAX_CONNECTIONS = 2048
const MAX_HEADER_BYTES = 64 << 10
const HEADERS_MS = 15_000
/** Between two looks at how old they are. */
const CHECK_MS = 5000
/** Longer than clients and proxies keep connections that they do not use, so that it is they who close them. */
const KEEP_ALIVE_MS = 125_000
const STREAMS_PER_CONNECTION = 128
const PREFACE = Buffer.from('PRI * HTTP/2.0')

export async function listen(address: ListenAddress, handlers: Handlers): Promise<Listener> {
  const { createServer: createHttpServer } = process.getBuiltinModule('node:http')
  const http1 = createHttpServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_MS,
      connectionsCheckingInterval: CHECK_MS,
      // Uploads have no end that could be foreseen; silence ends them.
      requestTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
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

  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    tellApart(socket, (isHttp2) => (isHttp2 ? http2 : http1).emit('connection', socket))
  })
  server.maxConnections = MAX_CONNECTIONS
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(address, resolve)
  await promise
  // It does not listen itself, and without this looks at no connection's age.
  http1.emit('listening')
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound ? bound.port : undefined,
    async [Symbol.asyncDispose]() {
      server.close()
      http1.close()
      http1.closeAllConnections()
      http2.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function isCall(headers: IncomingHttpHeaders): boolean {
  return headers['content-type']?.startsWith('application/grpc') ?? false
}

/** Reads as much as it takes, and puts it back. */
function tellApart(socket: Socket, decide: (isHttp2: boolean) => void): void {
  let seen: Buffer = Buffer.alloc(0)
  const timer = setTimeout(() => socket.destroy(), HEADERS_MS)
  socket.once('close', () => clearTimeout(timer))
  socket.on('data', look)
  function look(chunk: Buffer): void {
    seen = Buffer.concat([seen, chunk])
    const length = Math.min(seen.length, PREFACE.length)
    const matches = seen.subarray(0, length).equals(PREFACE.subarray(0, length))
    if (matches && length < PREFACE.length) return
    clearTimeout(timer)
    socket.off('data', look)
    socket.pause()
    socket.unshift(seen)
    decide(matches)
    // A session of HTTP/2 reads by itself, first what was put back.
    if (!matches) socket.resume()
  }
}
