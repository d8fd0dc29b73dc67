/** GET requests to a Pod. Everything that comes back was written by whoever runs in it: it is bounded and never followed away. */
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { abortable } from '@caisson/client'
import type { HTTPGetAction } from 'kubernetes-types/core/v1.d.ts'
import { ANSWER_BYTES, failure, type ProbeOutcome, success } from './probe-outcome.ts'
import { deadline, dial, dialFailure, type ProbeTarget, portNumber, refuseOtherHost } from './probe-target.ts'

const { request: httpRequest } = process.getBuiltinModule('node:http')

/** As Go's client has it. */
const MOST_REDIRECTS = 10

export interface HttpAnswer {
  statusCode: number
  body: string
  /** Where it asked to go on, if that is not the Pod itself. */
  leaves: boolean
}

export interface GetOptions {
  /** `kube-probe`, `kube-lifecycle` … */
  userAgent: string
  signal: AbortSignal
}

interface Address {
  scheme: string
  port: number
  path: string
}

/** Gets it, following redirects within the Pod. Rejects with what Go's client would say. */
export async function getFromPod(target: ProbeTarget, action: HTTPGetAction, options: GetOptions): Promise<HttpAnswer> {
  refuseOtherHost(target, action.host)
  let address: Address = {
    scheme: (action.scheme ?? 'HTTP').toLowerCase(),
    port: portNumber(target, action.port),
    path: pathOf(action.path ?? '/'),
  }
  const host = target.podIp ?? '127.0.0.1'
  for (let redirects = 0; ; redirects++) {
    const { statusCode, body, location } = await get(target, address, {
      ...options,
      headers: headersOf(action, host, address),
    })
    const next = isRedirect(statusCode) && location !== undefined ? resolved(location, host, address) : undefined
    if (next === undefined) return { statusCode, body, leaves: false }
    if (next.hostname !== host) return { statusCode, body, leaves: true }
    if (redirects >= MOST_REDIRECTS) throw new Error(`Get ${JSON.stringify(next.href)}: stopped after 10 redirects`)
    const scheme = next.protocol.replace(':', '')
    address = {
      scheme,
      port: Number(next.port) || (scheme === 'https' ? 443 : 80),
      path: `${next.pathname}${next.search}`,
    }
  }
}

export async function probeHttp(target: ProbeTarget, action: HTTPGetAction, timeoutMs: number): Promise<ProbeOutcome> {
  refuseOtherHost(target, action.host)
  portNumber(target, action.port)
  let answer: HttpAnswer
  try {
    answer = await getFromPod(target, action, { userAgent: 'kube-probe/1.34', signal: deadline(target, timeoutMs) })
  } catch (error) {
    return failure((error as Error).message)
  }
  if (answer.statusCode < 200 || answer.statusCode >= 400) {
    // Without the body: whoever reads events is not whoever may read from the Pod.
    return failure(`HTTP probe failed with statuscode: ${answer.statusCode}`)
  }
  if (answer.statusCode < 300) return success(answer.body)
  return { verdict: 'warning', message: `Probe terminated redirects, Response body: ${answer.body}` }
}

function isRedirect(statusCode: number): boolean {
  return [301, 302, 303, 307, 308].includes(statusCode)
}

function resolved(location: string, host: string, { scheme, port, path }: Address): URL | undefined {
  return URL.parse(location, `${scheme}://${host}:${port}${path}`) ?? undefined
}

/** Always a path, never a host, whatever was written; bytes that no request line may have are encoded. */
function pathOf(path: string): string {
  const rooted = path.startsWith('/') ? path : `/${path}`
  return rooted.toWellFormed().replace(/[^\x21-\x7e]/gu, encodeURIComponent)
}

function headersOf(action: HTTPGetAction, host: string, { port }: Address): Map<string, string[]> {
  const headers = new Map<string, string[]>()
  for (const { name, value } of action.httpHeaders ?? []) {
    const key = name.toLowerCase()
    headers.set(key, [...(headers.get(key) ?? []), value])
  }
  if (!headers.has('host')) headers.set('host', [`${host}:${port}`])
  if (!headers.has('accept')) headers.set('accept', ['*/*'])
  return headers
}

interface Received {
  statusCode: number
  body: string
  location: string | undefined
}

async function get(
  target: ProbeTarget,
  { scheme, port, path }: Address,
  { signal, userAgent, headers }: GetOptions & { headers: Map<string, string[]> },
): Promise<Received> {
  const url = JSON.stringify(`${scheme}://${target.podIp ?? '127.0.0.1'}:${port}${path}`)
  let connection: Duplex
  try {
    connection = await dial(target, port, signal)
  } catch (error) {
    throw new Error(`Get ${url}: ${signal.aborted ? TIMED_OUT : dialFailure(target, port, error)}`, { cause: error })
  }
  if (scheme === 'https') connection = connectTls({ socket: connection, rejectUnauthorized: false })
  try {
    // Of an answer in another protocol, which nobody has asked for, Node says nothing, nor of the abort after it.
    const exchanged = exchange(connection, signal, () => {
      const request = httpRequest({ method: 'GET', path, createConnection: () => connection, signal, setHost: false })
      request.setHeader('user-agent', userAgent)
      for (const [name, values] of headers) {
        // An empty value takes a header that is sent by default away.
        if (values.every((value) => value === '')) request.removeHeader(name)
        else request.setHeader(name, name === 'host' ? (values[0] ?? '') : values)
      }
      request.setHeader('connection', 'close')
      return request
    })
    return await abortable(exchanged, signal)
  } catch (error) {
    throw new Error(`Get ${url}: ${signal.aborted ? TIMED_OUT : (error as Error).message}`, { cause: error })
  } finally {
    connection.destroy()
  }
}

const TIMED_OUT = 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'

function exchange(connection: Duplex, signal: AbortSignal, send: () => ClientRequest): Promise<Received> {
  return new Promise((resolve, reject) => {
    connection.on('error', reject)
    const request = send()
    request.once('error', reject)
    request.once('response', (response) => {
      readBody(response, signal).then(resolve, reject)
    })
    request.end()
  })
}

async function readBody(response: IncomingMessage, signal: AbortSignal): Promise<Received> {
  const { location } = response.headers
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    signal.throwIfAborted()
    chunks.push((chunk as Buffer).subarray(0, ANSWER_BYTES - size))
    size += (chunk as Buffer).length
    if (size >= ANSWER_BYTES) break
  }
  return { statusCode: response.statusCode ?? 0, body: Buffer.concat(chunks).toString(), location }
}
