/** What is answered to what cannot be read as a request, or was not whole in time: nobody is known then, and no path. */
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { StatusError } from '../status-error.ts'

const { STATUS_CODES } = process.getBuiltinModule('node:http')

/** For so long a client that is answered may go on sending, ms: what it has not read is lost where the connection breaks. */
const LINGER_MS = 1000

/** Listeners of Node's server. */
export interface RefuseUnread {
  request(request: { socket: Duplex }, response: ServerResponse): void
  clientError(error: NodeJS.ErrnoException, socket: Duplex): void
}

/** @param maxHeaderBytes of a request's line and headers together */
export function refuseUnread(maxHeaderBytes: number): RefuseUnread {
  const responses = new WeakMap<Duplex, ServerResponse>()
  const refused = new WeakSet<Duplex>()
  return {
    request({ socket }, response) {
      responses.set(socket, response)
      response.once('close', () => responses.delete(socket))
    },
    clientError(error, socket) {
      // What it sends further is no request either.
      if (refused.has(socket)) return
      refused.add(socket)
      // Part of another answer is on its way: whatever came behind it would be read as more of that.
      if (!socket.writable || responses.get(socket)?.headersSent) {
        socket.destroy()
        return
      }
      socket.end(answerTo(error, maxHeaderBytes))
      const lingering = setTimeout(() => socket.destroy(), LINGER_MS)
      socket.once('close', () => clearTimeout(lingering))
    },
  }
}

function answerTo({ code, message }: NodeJS.ErrnoException, maxHeaderBytes: number): string {
  const status = statusOf(code, message, maxHeaderBytes)
  const body = `${JSON.stringify(status.toStatus())}\n`
  return [
    `HTTP/1.1 ${status.code} ${STATUS_CODES[status.code]}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n')
}

function statusOf(code: string | undefined, message: string, maxHeaderBytes: number): StatusError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new StatusError('Unknown', `the request's line and headers have more than ${maxHeaderBytes} bytes`, {
        code: 431,
      })
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new StatusError('RequestEntityTooLarge', 'the extensions of a chunk of the body are too long')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new StatusError('Unknown', 'the request was not whole in time', { code: 408 })
    default:
      return new StatusError('BadRequest', `what came is no request: ${message}`)
  }
}
