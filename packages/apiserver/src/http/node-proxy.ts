/**
 * Requests that go on to a node: authorised here, then handed over as the kubelet's own HTTP API. An upgraded socket is
 * passed on as it is; the node does the WebSocket or SPDY handshake.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ProxiedPort } from '@caisson/api'
import { attributesOf, authorizeCall, type Pipeline } from '../pipeline.ts'
import { StatusError } from '../status-error.ts'
import type { Call } from '../verbs/call.ts'
import { findResource } from '../verbs/dispatch.ts'
import { methodNotServed, pathNotServed } from '../verbs/errors.ts'
import { admitConnection } from './admit-connection.ts'
import { connectionVerbs, type NodeTarget, nodeTarget } from './node-paths.ts'
import { respondWithError } from './respond.ts'

const { STATUS_CODES } = process.getBuiltinModule('node:http')

/** A node of this cluster, as its kubelet serves it. */
export interface NodeConnection {
  request(request: IncomingMessage, response: ServerResponse): void
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** A request to a port of a Pod, and one that changes the protocol. */
  proxy?(target: ProxiedPort, exchange: { request: IncomingMessage; response: ServerResponse }): void
  proxyUpgrade?(target: ProxiedPort, client: { request: IncomingMessage; socket: Duplex; head: Buffer }): void
  /** The body of a GET of `url`, for callers in this process. Throws where the answer is not 200. */
  stream?(url: string, signal: AbortSignal | undefined): AsyncIterable<Uint8Array>
}

export type FindNode = (name: string) => NodeConnection | undefined

/** Authorises the call and finds out where it goes. Throws a StatusError. */
export function resolveNode(
  { pipeline, findNode }: { pipeline: Pipeline; findNode: FindNode },
  call: Call,
  search: string,
): { connection: NodeConnection | undefined; target: NodeTarget } {
  authorizeCall(pipeline, call)
  findResource(call, pipeline.environment)
  if (!connectionVerbs(call)?.includes(call.info.verb) && !isProxiedOptions(call)) throw methodNotServed()
  const target = nodeTarget(call, search, pipeline.environment.store)
  if (target.node === undefined) return { connection: undefined, target }
  const connection = findNode(target.node)
  if (!connection)
    throw new StatusError(
      'InternalError',
      `Internal error occurred: error dialing backend: node ${JSON.stringify(target.node)} is not connected to this server`,
      { details: { causes: [{ message: `node ${JSON.stringify(target.node)} is not connected to this server` }] } },
    )
  return { connection, target }
}

/** What is behind a proxy says itself which methods it has. Of OPTIONS there is no verb: who may do everything may do it. */
function isProxiedOptions({ method, info }: Call): boolean {
  return method === 'OPTIONS' && info.subresource === 'proxy'
}

/**
 * The path of an upgrade, which was authorised and admitted. One of a port-forward says whether the client may execute in
 * the Pod too, by the same two: a node that answers in a Pod's place executes, and does so for them alone.
 */
async function upgradeUrl(pipeline: Pipeline, call: Call, { url }: NodeTarget): Promise<string> {
  if (call.info.subresource !== 'portforward' || !(await mayExecute(pipeline, call))) return url
  return `${url}${url.includes('?') ? '&' : '?'}mayExecute=true`
}

async function mayExecute(pipeline: Pipeline, call: Call): Promise<boolean> {
  const exec: Call = { ...call, info: { ...call.info, verb: 'create', subresource: 'exec' }, warnings: [] }
  if (!pipeline.authorize(attributesOf(exec.info, exec.user)).allowed) return false
  try {
    await admitConnection(pipeline, exec, 'stdin=true&stdout=true&stderr=true')
    return true
  } catch (error) {
    if (error instanceof StatusError) return false
    throw error
  }
}

/** Hands a plain request over. Settles with the status when the answer is complete. */
export function proxyRequest(
  { connection, target }: ReturnType<typeof resolveNode>,
  call: Call,
  { request, response }: { request: IncomingMessage; response: ServerResponse },
): Promise<number> {
  return new Promise((resolve) => {
    response.on('close', () => resolve(response.statusCode))
    if (!connection) {
      response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 0 })
      response.end()
      return
    }
    if (target.pod) {
      if (hasNoPath(call)) redirectBelow(call, { request, response })
      else if (connection.proxy) connection.proxy(target.pod, { request, response })
      else void respondWithError(response, pathNotServed(), call)
      return
    }
    request.url = target.url
    if (call.info.resource === 'pods') answerErrorsAsStatus(response, call)
    connection.request(request, response)
  })
}

/** Only who reads a page is led elsewhere: a write would be repeated as a read. */
function hasNoPath({ method, info }: Call): boolean {
  return (method === 'GET' || method === 'HEAD') && info.rest === '' && !info.path.endsWith('/')
}

/** Relative links of a page are below where it is. */
function redirectBelow({ info }: Call, { request, response }: { request: IncomingMessage; response: ServerResponse }) {
  const { url = '' } = request
  const mark = url.indexOf('?')
  response.writeHead(301, { Location: `${info.path}/${mark === -1 ? '' : url.slice(mark)}`, 'Content-Length': 0 })
  response.end()
}

/** Hands an upgrade over, and the socket with it. */
export async function proxyUpgrade(
  pipeline: Pipeline,
  { connection, target }: { connection: NodeConnection; target: NodeTarget },
  call: Call,
  client: { request: IncomingMessage; socket: Duplex; head: Buffer },
): Promise<void> {
  const { request, socket, head } = client
  if (target.pod) {
    if (!connection.proxyUpgrade) throw pathNotServed()
    return connection.proxyUpgrade(target.pod, client)
  }
  request.url = await upgradeUrl(pipeline, call, target)
  // Who hung up meanwhile would be waited for on the node.
  if (!socket.destroyed) connection.upgrade(request, socket, head)
}

/** A kubelet says what is wrong in plain text. Clients of the API expect a Status. */
function answerErrorsAsStatus(response: ServerResponse, call: Call): void {
  const writeHead = response.writeHead.bind(response)
  const end = response.end.bind(response)
  response.writeHead = ((status: number, ...rest: never[]) => {
    if (status < 300) return writeHead(status, ...rest)
    const said: Buffer[] = []
    const collect = (chunk: unknown) => {
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) said.push(Buffer.from(chunk as Uint8Array))
      return true
    }
    response.write = collect as ServerResponse['write']
    response.end = ((chunk: unknown) => {
      collect(chunk)
      Object.assign(response, { writeHead, end })
      void respondWithError(response, nodeError(status, Buffer.concat(said).toString().trim(), call), call)
      return response
    }) as ServerResponse['end']
    return response
  }) as ServerResponse['writeHead']
}

const MAX_SAID = 10_000

function nodeError(status: number, text: string, { info }: Call): StatusError {
  const said = text.slice(0, MAX_SAID)
  const details = { name: info.name, kind: `${info.resource}/${info.subresource}` }
  if (status === 400) return new StatusError('BadRequest', said)
  if (status === 404)
    return new StatusError('NotFound', `the server could not find the requested resource: ${said}`, { details })
  return new StatusError('InternalError', `Internal error occurred: ${said}`, {
    details: { causes: [{ message: said }] },
    code: status,
  })
}

/** Answers a request whose socket was taken over for an upgrade that will not be. */
export function refuseUpgrade(socket: Duplex, error: StatusError): void {
  const body = `${JSON.stringify(error.toStatus())}\n`
  socket.on('error', () => undefined)
  socket.end(
    [
      `HTTP/1.1 ${error.code} ${STATUS_CODES[error.code] ?? ''}`,
      'Connection: close',
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  )
}
