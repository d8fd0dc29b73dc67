/** A small Kubernetes API for one resource, kept as a log of events, which can be made to fail in every way. */
import type { ServerResponse } from 'node:http'
import type { KubeObject } from '@caisson/api'
import { type ScriptedRequest, sendJson } from './scripted-server.ts'

interface ModelEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED'
  object: KubeObject
}

export interface ModelServer {
  script(request: ScriptedRequest, response: ServerResponse): void
  /** By name, as they are now. */
  state(): Record<string, KubeObject>
  version(): string
  create(name: string): KubeObject | undefined
  update(name: string): KubeObject | undefined
  delete(name: string): KubeObject | undefined
  /** Everything before now is forgotten: older versions are 410. */
  compact(): void
  /** Ends all watches: in peace, by a reset, or in the middle of a line. */
  cut(how: 'end' | 'reset' | 'half'): void
  /** Tells all watches a bookmark, `behind` events ago. */
  bookmark(behind: number): void
  /** Sends these bytes to all watches. */
  say(text: string): void
  /** The next requests are answered with these codes (0: a reset). */
  failNext(codes: readonly number[]): void
  /** The next streamed lists break behind their first object. */
  breakStreamedLists(count: number): void
  watches(): number
  /** What was asked for since the last call: `list`, `watch`, `stream`. */
  asked(): string[]
}

export interface ModelOptions {
  /** Whether lists can be the first part of a watch. */
  streamedLists: boolean
  /** Whether an expired watch is refused with a status, rather than with an event. */
  refusesExpired?: boolean
}

const KIND = { apiVersion: 'test.example/v1', kind: 'Widget' }

export function createModelServer({ streamedLists, refusesExpired = false }: ModelOptions): ModelServer {
  const log: { version: number; event: ModelEvent }[] = []
  const watches = new Set<ServerResponse>()
  let version = 100
  let compacted = 0
  let uids = 0
  let breaks = 0
  let failures: number[] = []
  let asked: string[] = []

  function stateAt(point: number): Record<string, KubeObject> {
    const state: Record<string, KubeObject> = {}
    for (const { version: at, event } of log) {
      const name = event.object.metadata.name ?? ''
      if (at > point) break
      if (event.type === 'DELETED') delete state[name]
      else state[name] = event.object
    }
    return state
  }

  function append(type: ModelEvent['type'], name: string, uid: string): KubeObject {
    version++
    const metadata = { name, uid, resourceVersion: String(version), managedFields: [{ manager: 'test' }] }
    const event: ModelEvent = { type, object: { ...KIND, metadata, payload: `größe ${version}` } }
    log.push({ version, event })
    for (const watch of watches) watch.write(`${JSON.stringify(event)}\n`)
    return event.object
  }

  function bookmarkAt(point: number, annotations?: Record<string, string>): string {
    const metadata = { resourceVersion: String(point), ...(annotations && { annotations }) }
    return `${JSON.stringify({ type: 'BOOKMARK', object: { ...KIND, metadata } })}\n`
  }

  function expired() {
    return {
      apiVersion: 'v1',
      kind: 'Status',
      metadata: {},
      status: 'Failure',
      reason: 'Expired',
      code: 410,
      message: 'too old resource version',
    }
  }

  function list(query: URLSearchParams, response: ServerResponse): void {
    const limit = Number(query.get('limit') ?? 0)
    const [at, from] = (query.get('continue') ?? `${version}:0`).split(':').map(Number) as [number, number]
    if (at < compacted) return sendJson(response, 410, expired())
    const all = Object.values(stateAt(at)).map((object) => ({ ...object, apiVersion: undefined, kind: undefined }))
    const items = limit ? all.slice(from, from + limit) : all
    const next = limit && from + limit < all.length ? { continue: `${at}:${from + limit}` } : {}
    sendJson(response, 200, {
      apiVersion: 'test.example/v1',
      kind: 'WidgetList',
      metadata: { resourceVersion: String(at), ...next },
      items: items.length === 0 ? null : items,
    })
  }

  function watch(query: URLSearchParams, response: ServerResponse): void {
    const initial = query.get('sendInitialEvents') === 'true'
    if (initial && !streamedLists) {
      return sendJson(response, 422, {
        kind: 'Status',
        reason: 'Invalid',
        code: 422,
        message: 'sendInitialEvents is forbidden',
      })
    }
    const from = Number(query.get('resourceVersion') ?? 0)
    const tooOld = !initial && from < compacted
    if (tooOld && refusesExpired) return sendJson(response, 410, expired())
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    if (tooOld) {
      response.end(`${JSON.stringify({ type: 'ERROR', object: expired() })}\n`)
      return
    }
    if (initial && breaks > 0) {
      breaks--
      const [first] = Object.values(stateAt(version))
      response.write(`${JSON.stringify({ type: 'ADDED', object: first })}\n`, () => response.socket?.destroy())
      return
    }
    if (initial) {
      for (const object of Object.values(stateAt(version)))
        response.write(`${JSON.stringify({ type: 'ADDED', object })}\n`)
      response.write(bookmarkAt(version, { 'k8s.io/initial-events-end': 'true' }))
    } else for (const { version: at, event } of log) if (at > from) response.write(`${JSON.stringify(event)}\n`)
    watches.add(response)
    response.on('close', () => watches.delete(response))
  }

  return {
    script(request, response) {
      const query = new URL(request.url, 'https://test').searchParams
      const isWatch = query.get('watch') === 'true'
      asked.push(isWatch ? (query.has('sendInitialEvents') ? 'stream' : 'watch') : 'list')
      const failure = failures.shift()
      if (failure === 0) request.socket.destroy()
      else if (failure !== undefined) sendJson(response, failure, { kind: 'Status', code: failure, reason: 'Unknown' })
      else if (isWatch) watch(query, response)
      else list(query, response)
    },
    state: () => stateAt(version),
    version: () => String(version),
    create: (name) => (stateAt(version)[name] ? undefined : append('ADDED', name, `uid-${++uids}`)),
    update(name) {
      const known = stateAt(version)[name]
      return known && append('MODIFIED', name, known.metadata.uid ?? '')
    },
    delete(name) {
      const known = stateAt(version)[name]
      return known && append('DELETED', name, known.metadata.uid ?? '')
    },
    compact() {
      compacted = version
    },
    cut(how) {
      for (const watch of watches) {
        if (how === 'end') watch.end()
        else if (how === 'reset') watch.socket?.destroy()
        else watch.end('{"type":"ADDED","obj')
      }
      watches.clear()
    },
    bookmark(behind) {
      for (const watch of watches) watch.write(bookmarkAt(Math.max(compacted, version - behind)))
    },
    say(text) {
      for (const watch of watches) watch.write(text)
    },
    failNext(codes) {
      failures = [...codes]
    },
    breakStreamedLists(count) {
      breaks = count
    },
    watches: () => watches.size,
    asked() {
      const before = asked
      asked = []
      return before
    },
  }
}
