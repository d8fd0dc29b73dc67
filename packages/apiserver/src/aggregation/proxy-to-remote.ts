/** Carries a request to an API server that is joined in, and its answer back, as streams. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { StatusError } from '../status-error.ts'
import type { Call } from '../verbs/call.ts'
import { badRequest } from '../verbs/errors.ts'
import type { RemoteService } from './remote-services.ts'
import { saysWho, userHeaders } from './user-headers.ts'

/** Of one connection, not of the message that it carries. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/** What speaks for all of this server's origin. */
const NOT_THEIRS: ReadonlySet<string> = new Set([
  'set-cookie',
  'clear-site-data',
  'strict-transport-security',
  'alt-svc',
  'service-worker-allowed',
])

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
  response.writeHead(
    statusCode,
    kept(answer, (name) => NOT_THEIRS.has(name)),
  )
  // What breaks off is broken off for the client too.
  await pipeline(answer, response).catch(() => response.destroy())
  return statusCode
}

function ask(
  { agent, host }: RemoteService,
  { method, user }: Call,
  { request, response }: { request: IncomingMessage; response: ServerResponse },
): Promise<IncomingMessage> {
  const headers = kept(request, (name) => saysWho(name) || name === 'host')
  headers.push('Host', host, ...userHeaders(user), 'X-Forwarded-Host', request.headers.host ?? '')
  // A body without a length has to say where it ends.
  const isChunked = request.headers['transfer-encoding'] !== undefined
  if (isChunked) headers.push('Transfer-Encoding', 'chunked')
  return new Promise((resolve, reject) => {
    const asked = httpsRequest({ host, path: request.url ?? '/', method, agent, headers })
    response.once('close', () => asked.destroy())
    asked.once('response', resolve)
    asked.on('error', (error) =>
      reject(new StatusError('ServiceUnavailable', `error trying to reach service: ${error.message}`, { details: {} })),
    )
    if (isChunked || (request.headers['content-length'] ?? '0') !== '0')
      pipeline(request, asked).catch((error: unknown) => asked.destroy(error as Error))
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

function kept({ rawHeaders, headers }: IncomingMessage, isDropped: (name: string) => boolean): string[] {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  const rest: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase()
    if (HOP_BY_HOP.has(name) || named.has(name) || isDropped(name)) continue
    rest.push(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '')
  }
  return rest
}
