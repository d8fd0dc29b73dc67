/** The HTTPS side: from a Node request to a call, and from its outcome to bytes. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { UserInfo } from '@caisson/api'
import { type Pipeline, run, toStatusError } from '../pipeline.ts'
import { StatusError } from '../status-error.ts'
import type { Call } from '../verbs/call.ts'
import { badRequest } from '../verbs/errors.ts'
import { negotiate } from './negotiate.ts'
import { bodyTooLarge, readBody } from './read-body.ts'
import { EMPTY_QUERY, parseQuery, parseRequestInfo } from './request-info.ts'
import { addWarnings, respond, respondWithError } from './respond.ts'
import { type TableOf, transformAnswer, transformMessages } from './transform.ts'
import { streamWatch } from './watch-stream.ts'

export interface HandlerContext {
  pipeline: Pipeline
  /** Undefined where the request carries nothing that proves who sends it. Throws a StatusError for a bad proof. */
  authenticate(request: IncomingMessage): UserInfo | undefined | Promise<UserInfo | undefined>
  toTable: TableOf | undefined
  /** Failures that no client is told about. */
  report(error: unknown): void
}

const NOBODY: UserInfo = Object.freeze({ username: '', groups: Object.freeze([]) })

export function createHandler(context: HandlerContext): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    serve(context, request, response).catch(context.report)
  }
}

async function serve(context: HandlerContext, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const started = performance.now()
  const { pipeline } = context
  const call = toCall(request)
  let code = 500
  try {
    const found = context.authenticate(request)
    const user = found instanceof Promise ? await found : found
    if (!user) throw new StatusError('Unauthorized', 'Unauthorized')
    call.user = pipeline.impersonate(user, request.headersDistinct)
    call.info = parseInfo(call)
    code = await answer(context, call, request, response)
  } catch (error) {
    const told = toStatusError(error, context.report)
    code = told.code
    respondWithError(response, told, {
      warnings: call.warnings,
      close: told.reason === 'RequestEntityTooLarge' && bodyTooLarge(request),
    })
  }
  pipeline.observe(call, code, performance.now() - started)
}

async function answer(
  { pipeline, toTable }: HandlerContext,
  call: Call,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<number> {
  const outcome = await run(pipeline, call)
  const accepted = negotiate(request.headers.accept)
  const { now } = pipeline.environment
  if ('answer' in outcome) {
    const shown = transformAnswer(outcome.answer, { accepted, query: call.query, now: now(), toTable })
    respond(response, shown, accepted, call.warnings)
    return shown.status
  }
  const transform = transformMessages(outcome.watch.resource, { accepted, query: call.query, now, toTable })
  const headers = ['Cache-Control', 'no-cache, private', 'Content-Type', 'application/json']
  addWarnings(headers, call.warnings)
  const finished = pipeline.begin(call)
  await streamWatch({ watch: outcome.watch, response, headers, transform })
  finished()
  return 200
}

/** Everything that can be known of a request before anybody has looked at who sends it. */
function toCall(request: IncomingMessage): Call {
  const url = request.url ?? '/'
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  const query = mark === -1 ? EMPTY_QUERY : parseQuery(url.slice(mark + 1))
  const contentType = mediaType(request.headers['content-type'])
  return {
    info: unknownInfo(path, request.method ?? 'GET'),
    method: request.method ?? 'GET',
    query,
    contentType,
    userAgent: request.headers['user-agent'] ?? '',
    accept: request.headers.accept,
    user: NOBODY,
    readBody: () => readBody(request, contentType),
    warnings: [],
  }
}

function parseInfo({ method, info, query }: Call): Call['info'] {
  try {
    return parseRequestInfo(method, info.path, query)
  } catch (error) {
    if (error instanceof URIError) throw badRequest(`the path is not valid: ${error.message}`)
    throw error
  }
}

function unknownInfo(path: string, method: string): Call['info'] {
  return {
    isResource: false,
    path,
    verb: method.toLowerCase(),
    group: '',
    version: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
    rest: '',
  }
}

function mediaType(header: string | undefined): string {
  if (header === undefined) return ''
  const end = header.indexOf(';')
  return (end === -1 ? header : header.slice(0, end)).trim().toLowerCase()
}
