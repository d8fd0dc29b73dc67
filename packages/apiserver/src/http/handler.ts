/** The HTTPS side: from a Node request to a call, and from its outcome to bytes. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { UserInfo } from '@caisson/api'
import { proxyToRemote } from '../aggregation/proxy-to-remote.ts'
import type { RemoteService } from '../aggregation/remote-services.ts'
import { authorizeCall, type Pipeline, run, toStatusError } from '../pipeline.ts'
import { hasMessage } from '../protobuf/encode.ts'
import { groupVersion, resourceKey } from '../registry/registry.ts'
import { StatusError } from '../status-error.ts'
import type { Body, Call, RequestInfo } from '../verbs/call.ts'
import { badRequest, formNotAcceptable } from '../verbs/errors.ts'
import { admitConnection } from './admit-connection.ts'
import { type Awaken, awakenFor, connectionTo, KUBECTL_COMMAND, whileOpen } from './awaken.ts'
import { refuseCrossSite } from './cross-site.ts'
import { type InFlight, type RequestClass, shareOf } from './in-flight.ts'
import { type Accepted, acceptsJsonAlone, JSON_OBJECT, negotiate } from './negotiate.ts'
import { connectionVerbs } from './node-paths.ts'
import { type FindNode, proxyRequest, proxyUpgrade, refuseUpgrade, resolveNode } from './node-proxy.ts'
import { hasBody, readBody } from './read-body.ts'
import { EMPTY_QUERY, parseQuery, parseRequestInfo, unknownInfo } from './request-info.ts'
import { addWarnings, respond, respondWithError } from './respond.ts'
import { transformAnswer, transformMessages } from './transform.ts'
import type { Turns } from './turns.ts'
import { JSON_STREAM, PROTOBUF_STREAM, streamWatch } from './watch-stream.ts'

export interface HandlerContext {
  pipeline: Pipeline
  /** Undefined where the request carries nothing that proves who sends it. Throws a StatusError for a bad proof. */
  authenticate(request: IncomingMessage): UserInfo | undefined | Promise<UserInfo | undefined>
  findNode: FindNode
  /** Another API server, which answers the request. */
  findRemote(info: RequestInfo): RemoteService | undefined
  /** For Pods that sleep. */
  awaken: Awaken | undefined
  inFlight: InFlight
  turns: Turns
  /** An answer or a watch that its client has not read on with for so long, ms, is given up. */
  stalledMs: number
  /** A request of a known user came over the connection. */
  welcome(socket: Socket, user: UserInfo): void
  /** Whether `HOST[:PORT]` is a name of this server. */
  isOwnHost(host: string): boolean
  /** Failures that no client is told about. */
  report(error: unknown): void
}

export interface Handler {
  request(request: IncomingMessage, response: ServerResponse): void
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
}

const NOBODY: UserInfo = Object.freeze({ username: '', groups: Object.freeze([]) })

export function createHandler(context: HandlerContext): Handler {
  return {
    request(request, response) {
      serve(context, request, response).catch(context.report)
    },
    upgrade(request, socket, head) {
      // Until the node listens, a client that goes away must not end the process.
      socket.on('error', () => undefined)
      upgrade(context, request, { socket, head }).catch(context.report)
    },
  }
}

async function serve(context: HandlerContext, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const started = performance.now()
  const { pipeline } = context
  const call = toCall(request)
  const seat = seatUntilClosed(response)
  let code: number
  try {
    const user = await identify(context, call, request)
    const remote = context.findRemote(call.info)
    if (remote) {
      seat(context.inFlight.enter(user, call.info.verb === 'watch' ? 'long-running' : requestClass(call)))
      authorizeCall(pipeline, call)
      code = await proxyToRemote(remote, call, { request, response })
      pipeline.observe(call, code, performance.now() - started)
      return
    }
    const subresource = connectionTo(call, request.headers[KUBECTL_COMMAND])
    // What asks for a sleeping Pod only to connect to it next waits until it is awake.
    const wakes = subresource !== undefined && call.info.subresource === ''
    const kind = wakes ? 'long-running' : requestClass(call)
    if (kind === 'writing' && hasBody(request)) call.readBody = bodyReader(context, call, { user, request, seat })
    else {
      seat(context.inFlight.enter(user, kind))
      const turn = context.turns.wait(call.share)
      if (turn) await turn
    }
    if (subresource !== undefined) await awakenFor(context, call, { subresource, signal: () => whileOpen(response) })
    code = await answer(context, call, { user, request, response })
  } catch (error) {
    const told = toStatusError(error, context.report)
    code = told.code
    // What is left of a body that nobody reads would be taken for the next request.
    await respondWithError(response, told, call, !request.complete)
  }
  pipeline.observe(call, code, performance.now() - started)
}

/** What is given is called when the other side is closed, which it may be already. */
function seatUntilClosed(closing: ServerResponse | Duplex): (leave: () => void) => void {
  let closed = false
  let left: (() => void) | undefined
  closing.once('close', () => {
    closed = true
    left?.()
  })
  return (leave) => {
    left = leave
    if (closed) leave()
  }
}

interface Receiving {
  user: UserInfo
  request: IncomingMessage
  seat: ReturnType<typeof seatUntilClosed>
}

/**
 * Not a closure of `serve`, which would hold the answer too: each collection of the young generation then kept 3 of 21 MB
 * more, all of it of requests that were over, and took twice as long.
 */
function bodyReader(context: HandlerContext, call: Call, receiving: Receiving): Call['readBody'] {
  return () => receiveBody(context, call, receiving)
}

/** Who is slow to send waits among the bodies, and takes the place of no write that could be served. */
async function receiveBody(
  { inFlight, turns }: HandlerContext,
  call: Call,
  { user, request, seat }: Receiving,
): Promise<Body | undefined> {
  const incoming = inFlight.receive(user)
  try {
    const body = await readBody(request, call.contentType, {
      hold: incoming.hold,
      turn: () => turns.wait(call.share),
      share: call.share,
    })
    seat(inFlight.enter(user, 'writing'))
    return body
  } finally {
    incoming.end()
  }
}

/** Sets the user and what is asked for. Resolves with who it really is. */
async function identify(
  { authenticate, pipeline, welcome, isOwnHost }: HandlerContext,
  call: Call,
  request: IncomingMessage,
): Promise<UserInfo> {
  refuseCrossSite(request, isOwnHost)
  const found = authenticate(request)
  const user = found instanceof Promise ? await found : found
  refuseGone(request)
  if (!user) throw new StatusError('Unauthorized', 'Unauthorized')
  welcome(request.socket, user)
  call.share = shareOf(user)
  call.user = impersonates(request) ? pipeline.impersonate(user, request.headersDistinct) : user
  try {
    call.info = parseRequestInfo(call.method, call.info.path, call.query)
  } catch (error) {
    if (error instanceof URIError) throw badRequest(`the path is not valid: ${error.message}`)
    throw error
  }
  return user
}

/**
 * After each wait and before anything that lasts until its client goes: that it has gone is said once, to who listens then.
 */
function refuseGone({ socket }: IncomingMessage): void {
  if (socket.destroyed) throw badRequest('the connection closed before the request was answered')
}

function requestClass(call: Call): RequestClass {
  const { verb } = call.info
  if (verb === 'watch' || connectionVerbs(call)) return 'long-running'
  return verb === 'get' || verb === 'list' || verb === 'head' ? 'reading' : 'writing'
}

function impersonates({ headers }: IncomingMessage): boolean {
  for (const name in headers) if (name.startsWith('impersonate-')) return true
  return false
}

async function answer(
  context: HandlerContext,
  call: Call,
  { user, request, response }: { user: UserInfo; request: IncomingMessage; response: ServerResponse },
): Promise<number> {
  const { pipeline, inFlight, stalledMs } = context
  // Of their own: what is answered already does not wait behind all that the same user asks for besides.
  const turn = (): Promise<void> | undefined => context.turns.wait(`answers to ${call.share}`)
  const hold = (bytes: number): (() => void) => inFlight.hold(user, bytes)
  if (connectionVerbs(call)) {
    const found = resolveNode(context, call, searchOf(request))
    await admitConnection(pipeline, call, searchOf(request))
    refuseGone(request)
    const finished = pipeline.begin(call)
    const code = await proxyRequest(found, call, { request, response })
    finished()
    return code
  }
  // Before anything is done: a write that cannot be answered is not made.
  // Other paths than those of resources (OpenAPI, metrics) look at the header themselves.
  const accepted = negotiateFor(call, pipeline)
  const outcome = await run(pipeline, call)
  const { now } = pipeline.environment
  if ('answer' in outcome) {
    const shown = transformAnswer(outcome.answer, { accepted, query: call.query, now: now() })
    const acceptEncoding = request.headers['accept-encoding']
    await respond(response, shown, {
      accepted,
      acceptEncoding,
      warnings: call.warnings,
      share: call.share,
      turn,
      stalledMs,
      hold,
    })
    return shown.status
  }
  const transform = transformMessages(outcome.watch.resource, { accepted, query: call.query, now })
  const format = accepted.encoding === 'protobuf' ? PROTOBUF_STREAM : JSON_STREAM
  const headers = ['Cache-Control', 'no-cache, private', 'Content-Type', format.contentType]
  addWarnings(headers, call.warnings)
  const finished = pipeline.begin(call)
  await streamWatch({
    watch: outcome.watch,
    response,
    headers,
    format,
    transform,
    stalledMs,
    turn,
    room: () => inFlight.room(user),
    hold,
  })
  finished()
  return 200
}

/** What is not there is told to everybody. */
function negotiateFor({ info, accept }: Call, { environment }: Pipeline): Accepted {
  if (acceptsJsonAlone(accept)) return JSON_OBJECT
  const resource = info.isResource ? environment.registry.find(info.group, info.version, info.resource) : undefined
  if (!resource) return negotiate(undefined, { protobuf: false, custom: true, canWatch: false })
  const custom = resource.custom === true
  const accepted = negotiate(accept, {
    protobuf: !custom && hasMessage(groupVersion(resource), resource.kind),
    table: !Object.hasOwn(environment.virtual, resourceKey(resource)),
    custom,
    canWatch: info.verb === 'list' || info.verb === 'watch',
  })
  if (info.verb === 'watch' && accepted.encoding === 'yaml') throw formNotAcceptable(true)
  return accepted
}

async function upgrade(
  context: HandlerContext,
  request: IncomingMessage,
  { socket, head }: { socket: Duplex; head: Buffer },
): Promise<void> {
  const started = performance.now()
  const { pipeline } = context
  const call = toCall(request)
  const seat = seatUntilClosed(socket)
  let code = 101
  try {
    const user = await identify(context, call, request)
    if (!connectionVerbs(call))
      throw badRequest('this path does not speak another protocol: send the request without Upgrade')
    seat(context.inFlight.enter(user, 'long-running'))
    const subresource = connectionTo(call, undefined)
    if (subresource !== undefined) await awakenFor(context, call, { subresource, signal: () => whileOpen(socket) })
    const { connection, target } = resolveNode(context, call, searchOf(request))
    await admitConnection(pipeline, call, searchOf(request))
    refuseGone(request)
    if (!connection) throw badRequest('no node runs the Pod yet')
    socket.on('close', pipeline.begin(call))
    await proxyUpgrade(pipeline, { connection, target }, call, { request, socket, head })
  } catch (error) {
    const told = toStatusError(error, context.report)
    code = told.code
    refuseUpgrade(socket, told)
  }
  pipeline.observe(call, code, performance.now() - started)
}

function searchOf({ url = '' }: IncomingMessage): string {
  const mark = url.indexOf('?')
  return mark === -1 ? '' : url.slice(mark + 1)
}

/** Everything that can be known of a request before anybody has looked at who sends it. */
function toCall(request: IncomingMessage): Call {
  const { url = '/', method = 'GET', headers } = request
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  const contentType = mediaType(headers['content-type'])
  return {
    info: unknownInfo(path, method),
    method,
    query: mark === -1 ? EMPTY_QUERY : parseQuery(url.slice(mark + 1)),
    contentType,
    userAgent: headers['user-agent'] ?? '',
    accept: headers.accept,
    ifNoneMatch: headers['if-none-match'],
    user: NOBODY,
    share: '',
    readBody: () => readBody(request, contentType),
    warnings: [],
  }
}

function mediaType(header: string | undefined): string {
  if (header === undefined) return ''
  const end = header.indexOf(';')
  return (end === -1 ? header : header.slice(0, end)).trim().toLowerCase()
}
