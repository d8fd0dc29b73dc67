/** Carries a request for another protocol, such as WebSocket, and then the bytes of that one. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { authorityOf } from '@caisson/api'
import { passedOn, relayUpgrade } from '@caisson/client'
import { brokenConnection, RouterError } from '../router-error.ts'
import { belowPath } from './below-path.ts'
import type { Upstream } from './forward.ts'
import { requestHeaders } from './headers.ts'

/** A side that is silent is asked by TCP whether it is still there, which ends what has no timeout. */
const KEEP_ALIVE_MS = 30_000

/** What a request became then would have been looked at by nobody: a token is for one path, and it could name any. */
const ANOTHER_HTTP = /(?:^|,)\s*(?:h2c?|http\/[0-9.]+|tls\/[0-9.]+)\s*(?:,|$)/i

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
  const { connection, ip, port, url, base, timeoutMs, id } = upstream
  if (ANOTHER_HTTP.test(request.headers.upgrade ?? ''))
    throw new RouterError(400, 'Upgrades to another HTTP are not carried: speak HTTP/2 from the beginning.')
  connection.setTimeout(timeoutMs, () => {
    connection.destroy(new RouterError(504, `The backend sandbox did not answer within ${timeoutMs / 1000} s: ${id}`))
  })
  const { rawHeaders, headers, method = 'GET' } = request
  const { host } = headers
  const { remoteAddress } = request.socket
  const encrypted = 'encrypted' in request.socket
  return await relayUpgrade(
    { socket, head },
    {
      connection,
      method,
      url,
      headers: requestHeaders({ rawHeaders, headers, host, remoteAddress, encrypted }, authorityOf(ip, port), true),
      broke: (cause) => brokenConnection(id, cause),
      ...(base !== undefined && { answerHeaders: (answer) => belowPath(passedOn(answer), base) }),
      switched() {
        connection.setTimeout(0)
        connection.setKeepAlive(true, KEEP_ALIVE_MS)
      },
    },
  )
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
