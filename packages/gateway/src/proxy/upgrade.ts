/** Carries a request for another protocol, such as WebSocket, and then the bytes of that one. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { RouterError } from '../router-error.ts'
import type { Upstream } from './forward.ts'
import { authorityOf, endToEnd, type RawHeaders, requestHeaders } from './headers.ts'

/** A side that is silent is asked by TCP whether it is still there, which ends what has no timeout. */
const KEEP_ALIVE_MS = 30_000

export interface UpgradeRequest {
  request: IncomingMessage
  socket: Duplex
  /** What the client has sent behind the head. */
  head: Buffer
}

/**
 * Resolves, with the status of the answer, when either side has ended. Where the sandbox does not change the protocol
 * its answer is passed on and the connection ended: nothing that follows on it would have been looked at.
 */
export async function carryUpgrade({ request, socket, head }: UpgradeRequest, upstream: Upstream): Promise<number> {
  const { connection, ip, port, url, timeoutMs, id } = upstream
  const { promise, resolve, reject } = Promise.withResolvers<{ answer: IncomingMessage; first?: Buffer }>()
  connection.setTimeout(timeoutMs, () => {
    const error = new RouterError(504, `The backend sandbox did not answer within ${timeoutMs / 1000} s: ${id}`)
    reject(error)
    connection.destroy(error)
  })
  socket.on('close', () => void connection.destroy())
  const { request: open } = process.getBuiltinModule('node:http')
  const outgoing = open({
    createConnection: () => connection,
    method: request.method ?? 'GET',
    path: url,
    headers: requestHeaders(
      {
        rawHeaders: request.rawHeaders,
        headers: request.headers,
        host: request.headers.host,
        remoteAddress: request.socket.remoteAddress,
      },
      authorityOf(ip, port),
      true,
    ),
    setHost: false,
  })
  outgoing.on('upgrade', (answer, _socket, first: Buffer) => resolve({ answer, first }))
  outgoing.on('response', (answer) => resolve({ answer }))
  outgoing.on('error', (cause) => {
    reject(new RouterError(502, `The connection to the backend sandbox broke: ${id}`, { cause }))
  })
  outgoing.end()
  try {
    const { answer, first } = await promise
    const headers = endToEnd(answer.rawHeaders, answer.headers.connection)
    const status = answer.statusCode ?? 502
    if (!first) {
      socket.write(answerHead(answer, [...headers, 'Connection', 'close']))
      await pipeline(answer, socket)
      return status
    }
    connection.setTimeout(0)
    // Both directions end at both ends.
    connection.setMaxListeners(20)
    socket.setMaxListeners(20)
    connection.setKeepAlive(true, KEEP_ALIVE_MS)
    socket.write(answerHead(answer, [...headers, 'Connection', 'Upgrade', 'Upgrade', answer.headers.upgrade ?? '']))
    if (first.length > 0) socket.write(first)
    if (head.length > 0) connection.write(head)
    // One side that breaks ends the other; how is their own affair.
    await Promise.allSettled([pipeline(socket, connection), pipeline(connection, socket)])
    return status
  } finally {
    connection.destroy()
  }
}

/** The head of an answer that has none of Node's own writers. */
function answerHead({ statusCode = 502, statusMessage = '' }: IncomingMessage, headers: RawHeaders): Buffer {
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`]
  for (let at = 0; at < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

/** An answer of the router's own to such a request. */
export function refuseUpgrade(socket: Duplex, { status, message }: RouterError): void {
  const { STATUS_CODES } = process.getBuiltinModule('node:http')
  const body = JSON.stringify({ detail: message })
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
