/** Answers to a request whose socket was handed over for an upgrade: there is no ServerResponse any more. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/** A request to speak something else from here on. */
export interface UpgradeRequest {
  request: IncomingMessage
  /** Whose it is after that. */
  socket: Duplex
  /** What the client has said in it already. */
  head: Buffer
}

const { STATUS_CODES } = process.getBuiltinModule('node:http')

/** Refuses the upgrade with a plain text body, as a kubelet does, and closes the socket. */
export function refuseUpgrade(socket: Duplex, status: number, message: string, headers: readonly string[] = []): void {
  const body = Buffer.from(message)
  socket.on('error', () => {})
  socket.end(
    Buffer.concat([
      head(status, [
        ...headers,
        'Connection: close',
        'Content-Type: text/plain; charset=utf-8',
        'X-Content-Type-Options: nosniff',
        `Content-Length: ${body.length}`,
      ]),
      body,
    ]),
  )
}

/** Accepts it: `protocol` is what the socket speaks from here on. */
export function acceptUpgrade(socket: Duplex, protocol: string, headers: readonly string[]): void {
  socket.write(head(101, ['Connection: Upgrade', `Upgrade: ${protocol}`, ...headers]))
}

function head(status: number, headers: readonly string[]): Buffer {
  return Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers.join('\r\n')}\r\n\r\n`, 'latin1')
}

/** The values of a header that lists names, which may be sent several times or joined by commas. */
export function listHeader(request: IncomingMessage, name: string): string[] {
  return (request.headersDistinct[name] ?? [])
    .flatMap((value) => value.split(','))
    .map((value) => value.trim())
    .filter((value) => value !== '')
}

export function isWebSocketUpgrade(request: IncomingMessage): boolean {
  return listHeader(request, 'upgrade').some((protocol) => protocol.toLowerCase() === 'websocket')
}

export function isSpdyUpgrade(request: IncomingMessage): boolean {
  return listHeader(request, 'upgrade').some((protocol) => protocol.toLowerCase() === 'spdy/3.1')
}
