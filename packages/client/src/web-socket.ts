/** Opens WebSockets to an API server, with its credentials and its TLS. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { asTransportError } from './connection-error.ts'
import type { HttpSession } from './http-session.ts'
import type { WebSocketConnection } from './transport.ts'
import { TransportError } from './transport-error.ts'

export interface OpenWebSocket {
  session: HttpSession
  /** `https:` or `http:`. */
  url: URL
  headers: Record<string, string | string[]>
  protocols: readonly string[]
  signal: AbortSignal | undefined
}

/** The server's answer where it does not open one. */
export interface WebSocketRefusal {
  status: number
  headers: IncomingMessage['headers']
  body: Buffer
}

const HANDSHAKE_MS = 30_000
/** What kube-apiserver accepts too. A message is held as a whole. */
const MAX_MESSAGE = 32 * 1024 * 1024
const REFUSAL_LIMIT = 1024 * 1024

/** It takes 10 ms, and most processes need none. */
export async function loadWebSockets(): Promise<{ WebSocket: typeof WebSocket }> {
  return await import('ws')
}

/** Rejects with a TransportError or the signal's reason when there is no answer. */
export async function openWebSocket(
  request: OpenWebSocket,
): Promise<WebSocketConnection | { refusal: WebSocketRefusal }> {
  const { session, url, headers, protocols, signal } = request
  const { WebSocket: WebSocketClass } = await loadWebSockets()
  signal?.throwIfAborted()
  const socket = new WebSocketClass(url, {
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_MS,
    maxPayload: MAX_MESSAGE,
    // Channels carry bytes; what is text in them is for their readers to check.
    skipUTF8Validation: true,
    // The library refuses names with a slash, which Kubernetes' tunnel has, so it is not told of any.
    headers: { ...headers, 'Sec-WebSocket-Protocol': protocols.join(', ') },
    createConnection: ((_options: unknown, done: (error: Error | null, socket?: Duplex) => void) => {
      void connect(() => session.connector.open(), done)
    }) as never,
  })
  return new Promise((resolve, reject) => {
    let protocol = ''
    const onAbort = () => {
      socket.terminate()
      settle(() => reject(signal?.reason))
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    function settle(outcome: () => void): void {
      signal?.removeEventListener('abort', onAbort)
      outcome()
    }

    // Once settled these still take the errors of a connection that ends badly, which its own readers see as its close.
    socket.on('error', (error) => settle(() => reject(asTransportError(error, undefined))))
    socket.on('upgrade', (response) => {
      protocol = response.headers['sec-websocket-protocol'] ?? ''
      delete response.headers['sec-websocket-protocol']
    })
    socket.once('open', () => {
      if (protocols.includes(protocol)) {
        socket.pause()
        settle(() => resolve({ socket, protocol }))
      } else {
        socket.terminate()
        const asked = protocols.join(', ')
        settle(() => reject(new TransportError('malformed', `the server speaks ${protocol || 'none'} of ${asked}`)))
      }
    })
    socket.once('unexpected-response', (_request, response) => {
      void readRefusal(socket, response, (outcome) => {
        if (outcome instanceof Error) settle(() => reject(outcome))
        else settle(() => resolve({ refusal: outcome }))
      })
    })
  })
}

async function connect(
  open: () => Promise<Duplex>,
  done: (error: Error | null, socket?: Duplex) => void,
): Promise<void> {
  let socket: Duplex
  try {
    socket = await open()
  } catch (error) {
    done(error as Error)
    return
  }
  done(null, socket)
}

async function readRefusal(
  socket: WebSocket,
  response: IncomingMessage,
  done: (outcome: WebSocketRefusal | Error) => void,
): Promise<void> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    response.setTimeout(HANDSHAKE_MS, () => response.destroy())
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > REFUSAL_LIMIT) break
      chunks.push(chunk)
    }
    done({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
  } catch (error) {
    done(new TransportError('lost', 'the connection broke while the server said why it refuses', { cause: error }))
  } finally {
    socket.terminate()
  }
}
