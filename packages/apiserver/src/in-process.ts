/** The same server for callers in this process: no socket, no encoding, the same pipeline. */
import type { UserInfo, WatchEvent } from '@caisson/api'
import { shareOf } from './http/in-flight.ts'
import { parseRequestInfo } from './http/request-info.ts'
import { define } from './patch/merge-patch.ts'
import { type Headers, type Pipeline, run, toStatusError } from './pipeline.ts'
import type { Call, WatchMessage } from './verbs/call.ts'
import { badRequest } from './verbs/errors.ts'

/** Structurally the `ApiRequest` of @caisson/client. */
export interface InProcessRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  query?: Record<string, string | undefined>
  body?: unknown
  patchType?: string
  headers?: Record<string, string>
  signal?: AbortSignal
}

export interface InProcessResponse {
  status: number
  /** Frozen and shared. */
  body: unknown
  warnings: readonly string[]
}

/** Structurally the `InProcessServer` of @caisson/client. */
export interface InProcessServer {
  request(request: InProcessRequest): Promise<InProcessResponse>
  watch(request: InProcessRequest): AsyncIterable<WatchEvent>
  stream(request: InProcessRequest): AsyncIterable<Uint8Array>
}

export interface InProcessOptions {
  pipeline: Pipeline
  user: UserInfo
  userAgent: string
  report(error: unknown): void
  /** What ends each open watch, for whoever stops the server. */
  streams: Set<() => void>
}

/** Events that wait for one reader; beyond it the watch pauses and reads on from the store's window. */
const HIGH_WATER_EVENTS = 1000

export function connectInProcess({ pipeline, user, userAgent, report, streams }: InProcessOptions): InProcessServer {
  function toCall(request: InProcessRequest): Call {
    const query = request.query ?? {}
    // At once: the caller may go on using its object, and the store freezes what it keeps.
    const body = request.body === undefined ? undefined : { value: copyJson(request.body), duplicates: [], text: '' }
    return {
      info: parseRequestInfo(request.method, request.path, query),
      method: request.method,
      query,
      contentType: request.patchType ?? 'application/json',
      userAgent: header(request.headers, 'user-agent') ?? userAgent,
      accept: header(request.headers, 'accept'),
      user: pipeline.impersonate(user, lowerCase(request.headers)),
      share: shareOf(user),
      readBody: async () => body,
      warnings: [],
    }
  }

  async function request(given: InProcessRequest): Promise<InProcessResponse> {
    given.signal?.throwIfAborted()
    const started = performance.now()
    const call = toCall(given)
    try {
      const outcome = await run(pipeline, call)
      if (!('answer' in outcome)) throw badRequest('a watch is opened with watch()')
      const { status, body } = outcome.answer
      pipeline.observe(call, status, performance.now() - started)
      return { status, body, warnings: call.warnings }
    } catch (error) {
      const told = toStatusError(error, report)
      pipeline.observe(call, told.code, performance.now() - started)
      return { status: told.code, body: told.toStatus(), warnings: call.warnings }
    }
  }

  async function* watch(given: InProcessRequest): AsyncGenerator<WatchEvent> {
    given.signal?.throwIfAborted()
    const started = performance.now()
    const call = toCall({ ...given, query: { ...given.query, watch: 'true' } })
    let code = 200
    let finished: (() => void) | undefined
    try {
      const outcome = await run(pipeline, call)
      if (!('watch' in outcome)) throw badRequest(`${given.path} cannot be watched`)
      finished = pipeline.begin(call)
      yield* readWatch(outcome.watch, given.signal, streams)
    } catch (error) {
      if (given.signal?.aborted) throw given.signal.reason
      const told = toStatusError(error, report)
      code = told.code
      throw told
    } finally {
      finished?.()
      pipeline.observe(call, code, performance.now() - started)
    }
  }

  async function* stream(given: InProcessRequest): AsyncGenerator<Uint8Array> {
    given.signal?.throwIfAborted()
    const started = performance.now()
    const call = toCall(given)
    const search = new URLSearchParams(
      Object.entries(given.query ?? {}).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    )
    let code = 200
    try {
      yield* pipeline.stream(call, search.toString(), given.signal)
    } catch (error) {
      if (given.signal?.aborted) throw given.signal.reason
      const told = toStatusError(error, report)
      code = told.code
      throw told
    } finally {
      pipeline.observe(call, code, performance.now() - started)
    }
  }

  return { request, watch, stream }
}

async function* readWatch(
  accepted: Extract<Awaited<ReturnType<typeof run>>, { watch: unknown }>['watch'],
  signal: AbortSignal | undefined,
  streams: Set<() => void>,
): AsyncGenerator<WatchEvent> {
  let queue: WatchMessage[] = []
  let ended = false
  let wake: (() => void) | undefined
  const end = () => {
    ended = true
    wake?.()
  }
  const running = accepted.start({
    send(message) {
      queue.push(message)
      wake?.()
      return queue.length < HIGH_WATER_EVENTS
    },
    end,
  })
  streams.add(end)
  // A signal that is made of others asks each of them: too much for each event.
  let aborted = signal?.aborted ?? false
  const onAbort = () => {
    aborted = true
    wake?.()
  }
  signal?.addEventListener('abort', onAbort)
  try {
    for (;;) {
      if (aborted) signal?.throwIfAborted()
      if (queue.length > 0) {
        const batch = queue
        queue = []
        for (const message of batch) {
          if (aborted) signal?.throwIfAborted()
          yield message as WatchEvent
        }
        running.resume()
      } else if (ended) return
      else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        wake = undefined
      }
    }
  } finally {
    streams.delete(end)
    signal?.removeEventListener('abort', onAbort)
    running[Symbol.dispose]()
  }
}

function lowerCase(headers: Record<string, string> | undefined): Headers {
  if (!headers) return NO_HEADERS
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

const NO_HEADERS: Headers = Object.freeze({})

function header(headers: Record<string, string> | undefined, name: string): string | undefined {
  return headers && (lowerCase(headers)[name] as string | undefined)
}

/** The value as it would arrive: plain, mutable, without fields whose value is undefined. */
function copyJson(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => (item === undefined ? null : copyJson(item)))
  if ('toJSON' in value && typeof value.toJSON === 'function') return copyJson(value.toJSON())
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    const field = (value as Record<string, unknown>)[key]
    if (field !== undefined) define(copy, key, copyJson(field))
  }
  return copy
}
