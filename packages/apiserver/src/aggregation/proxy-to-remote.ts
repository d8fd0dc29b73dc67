/** Carries a request to an API server that is joined in, and its answer back, as streams. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { endToEnd, framingOf } from '@caisson/api'
import { onOtherProtocol } from '../http/other-protocol.ts'
import { hasBody } from '../http/read-body.ts'
import { StatusError } from '../status-error.ts'
import type { Call } from '../verbs/call.ts'
import { badRequest } from '../verbs/errors.ts'
import type { RemoteService } from './remote-services.ts'
import { saysWho, userHeaders } from './user-headers.ts'

/** What speaks for all of this server's origin. */
const NOT_THEIRS: ReadonlySet<string> = new Set([
  'set-cookie',
  'clear-site-data',
  'strict-transport-security',
  'alt-svc',
  'service-worker-allowed',
])

const REPLACED = { has: (name: string): boolean => saysWho(name) || name === 'host' }

/** Settles with the status when the answer is complete. Throws a StatusError where there is none; the call is authorised. */
export async function proxyToRemote(
  remote: RemoteService,
  call: Call,
  { request, response }: { request: IncomingMessage; response: ServerResponse },
): Promise<number> {
  if (!remote.isAvailable) throw new StatusError('ServiceUnavailable', 'service unavailable', { details: {} })
  refuseDots(call.info.path)
  const answer = await ask(remote, call, { request, response })
  const { statusCode = 502 } = answer
  // Nobody may be led from here, with what they send along, to wherever that server says.
  if (statusCode >= 300 && statusCode < 400 && statusCode !== 304) {
    answer.destroy()
    const said = 'the backend attempted to redirect this request, which is not permitted'
    throw new StatusError('InternalError', said, { code: 502, details: {} })
  }
  response.sendDate = answer.headers.date === undefined
  response.writeHead(statusCode, endToEnd(answer.rawHeaders, answer.headers.connection, NOT_THEIRS))
  // What breaks off is broken off for the client too.
  await pipeline(answer, response).catch(() => response.destroy())
  return statusCode
}

function ask(
  { agent, host }: RemoteService,
  { method, user }: Call,
  { request, response }: { request: IncomingMessage; response: ServerResponse },
): Promise<IncomingMessage> {
  const headers = endToEnd(request.rawHeaders, request.headers.connection, REPLACED)
  headers.push('Host', host, ...userHeaders(user), 'X-Forwarded-Host', request.headers.host ?? '')
  headers.push(...framingOf(request, hasBody(request)))
  return new Promise((resolve, reject) => {
    const asked = httpsRequest({ host, path: request.url ?? '/', method, agent, headers })
    response.once('close', () => asked.destroy())
    asked.once('response', resolve)
    const fail = (message: string): void =>
      reject(new StatusError('ServiceUnavailable', `error trying to reach service: ${message}`, { details: {} }))
    asked.on('error', ({ message }) => fail(message))
    onOtherProtocol(asked, () => fail('it answered in another protocol than HTTP'))
    if (hasBody(request)) pipeline(request, asked).catch((error: unknown) => asked.destroy(error as Error))
    else asked.end()
  })
}

/** Another server may take `..` for the way to what nobody was asked whether the user may. */
function refuseDots(path: string): void {
  const segments = path.split('/').slice(1)
  const isOdd = segments.some((segment, index) => {
    const plain = decodeURIComponent(segment)
    return plain === '.' || plain === '..' || plain.includes('/') || (segment === '' && index < segments.length - 1)
  })
  if (isOdd) throw badRequest('the path has empty segments, dots or encoded slashes')
}
