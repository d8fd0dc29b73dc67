import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { listHeader, refuseUpgrade } from './upgrade.ts'

/**
 * Largest message that is taken. Kubernetes takes 32 MiB; clients that are known send at most 1 MiB at a time, and a
 * message is held as a whole.
 */
const MAX_MESSAGE = 16 * 1024 * 1024

const server = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: MAX_MESSAGE,
  // What was negotiated is the only protocol in the request by then.
  handleProtocols: (protocols) => [...protocols][0] ?? false,
})

/**
 * The first protocol in the client's order that is also in `supported`; '' where it asks for none and that is supported.
 * Undefined where nothing fits.
 */
export function negotiateWebSocketProtocol(
  request: IncomingMessage,
  supported: ReadonlySet<string>,
): string | undefined {
  const asked = listHeader(request, 'sec-websocket-protocol')
  return (asked.length === 0 ? [''] : asked).find((protocol) => supported.has(protocol))
}

/** Completes the handshake with `protocol`. Resolves to undefined where the request is no valid one; it was answered then. */
export async function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string,
): Promise<WebSocket | undefined> {
  if (request.method !== 'GET') {
    refuseUpgrade(socket, 405, 'a WebSocket is opened with GET', ['Allow: GET'])
    return undefined
  }
  if (protocol === '') delete request.headers['sec-websocket-protocol']
  else request.headers['sec-websocket-protocol'] = protocol
  const { promise, resolve } = Promise.withResolvers<WebSocket | undefined>()
  // A handshake that fails is answered by the library, which closes the socket.
  socket.once('close', () => resolve(undefined))
  server.handleUpgrade(request, socket, head, resolve)
  return await promise
}
