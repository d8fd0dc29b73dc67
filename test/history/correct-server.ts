/**
 * A server that keeps every law by being simple: one object after the other, in memory, at the moment that it is told.
 * Histories made with it are what the checker must find nothing in, and what its tests break law by law.
 */
import {
  type Content,
  type History,
  type Listing,
  type Operation,
  type Outcome,
  type Page,
  type Request,
  resourceOf,
  type Seen,
  type Selection,
  selected,
  type WatchEntry,
  type Watching,
} from './history.ts'

interface Deed {
  revision: number
  before: Seen | undefined
  after: Seen | undefined
}

export interface CorrectServer {
  history: { -readonly [K in keyof History]: History[K] extends readonly (infer T)[] ? T[] : History[K] }
  /** Answers at the moment of the call. */
  perform(request: Request): Outcome
  snapshot(selection: Selection, resource: string, revision?: number): Seen[]
  /** What a watch of that selection is told of what happened after `since`, up to `until`. */
  events(options: { resource: string; selection: Selection; since: number; until: number }): Message[]
  readonly revision: number
}

type Message = Omit<Extract<WatchEntry, { object: Seen }>, 'at'>

export function createCorrectServer(): CorrectServer {
  const objects = new Map<string, Seen>()
  const deeds: Deed[] = []
  let revision = 1
  let uids = 0

  function commit(key: string, after: Omit<Seen, 'revision'> | undefined): Seen | undefined {
    revision++
    const before = objects.get(key)
    const object = after && { ...after, revision }
    if (object) objects.set(key, object)
    else objects.delete(key)
    deeds.push({ revision, before, after: object })
    return object
  }

  function stateAt(at: number): Seen[] {
    const state = new Map<string, Seen>()
    for (const { revision: of, before, after } of deeds) {
      if (of > at) break
      if (after) state.set(after.key, after)
      else if (before) state.delete(before.key)
    }
    return [...state.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  return {
    history: { operations: [], listings: [], watchings: [], restarts: [], window: 1000 },
    get revision() {
      return revision
    },
    perform(request) {
      const { key } = request
      const object = objects.get(key)
      if (request.verb === 'create') {
        if (object) return { kind: 'refused', reason: 'AlreadyExists' }
        return { kind: 'seen', object: commit(key, { key, uid: `uid-${++uids}`, content: request.content }) as Seen }
      }
      if (!object) return { kind: 'refused', reason: 'NotFound' }
      if (request.verb === 'get') return { kind: 'seen', object }
      if (request.revision !== undefined && request.revision !== object.revision)
        return { kind: 'refused', reason: 'Conflict' }
      if (request.verb === 'delete') {
        commit(key, undefined)
        return { kind: 'deleted', uid: object.uid }
      }
      const content: Content = { ...object.content, ...request.content }
      return { kind: 'seen', object: commit(key, { key, uid: object.uid, content }) as Seen }
    },
    snapshot: (selection, resource, at = revision) =>
      stateAt(at).filter(({ key, content }) => resourceOf(key) === resource && selected(selection, key, content)),
    events({ resource, selection, since, until }) {
      return deeds.flatMap(({ revision: at, before, after }): Message[] => {
        if (at <= since || at > until || resourceOf(((after ?? before) as Seen).key) !== resource) return []
        const was = before && selected(selection, before.key, before.content)
        const is = after && selected(selection, after.key, after.content)
        if (is) return [{ type: was ? 'MODIFIED' : 'ADDED', object: after }]
        return was ? [{ type: 'DELETED', object: { ...before, revision: at } }] : []
      })
    },
  }
}

export const ALL: Selection = { namespace: undefined, name: undefined, side: undefined, colour: undefined }
export const LEFT: Selection = { ...ALL, side: { operator: 'in', values: ['left'] } }
export const RED: Selection = { ...ALL, colour: { equal: true, value: 'red' } }

/** One operation, done in the middle of its time. */
export function operate(server: CorrectServer, request: Request, began: number): Operation {
  const operation = { client: 'writer', began, ended: began + 40, request, outcome: server.perform(request) }
  server.history.operations.push(operation)
  return operation
}

/** A watch of what happened after `since` and up to now. */
export function watching(
  server: CorrectServer,
  options: { selection: Selection; since: number; began: number; initial?: 'marked' | 'unmarked' },
): Watching {
  const { selection, since, began, initial } = options
  const resource = 'records'
  const at = (revision: number): number => Math.max(began, revision * 100 + 45)
  const before = server
    .snapshot(selection, resource, since)
    .map((object): WatchEntry => ({ type: 'ADDED', at: began + 1, object }))
  const end: WatchEntry = { type: 'BOOKMARK', at: began + 1, revision: since, endsInitial: true }
  const live = server
    .events({ resource, selection, since, until: server.revision })
    .map((message): WatchEntry => ({ ...message, at: at(message.object.revision) }))
  const entries = [...(initial ? before : []), ...(initial === 'marked' ? [end] : []), ...live]
  const from = initial ? ({ initial: true, marked: initial === 'marked' } as const) : { revision: since }
  return { client: 'watcher', resource, selection, from, began, ended: 1e6, entries, end: 'client', until: undefined }
}

/** A list in pages of `limit`, at `revision`. */
export function listing(
  server: CorrectServer,
  options: { selection: Selection; revision: number; limit: number; began: number; exact?: boolean },
): Listing {
  const { selection, revision, limit, began, exact = false } = options
  const objects = server.snapshot(selection, 'records', revision)
  const pages: Page[] = []
  for (let start = 0; start === 0 || start < objects.length; start += limit || objects.length) {
    const time = { began: began + pages.length, ended: began + pages.length + 0.5 }
    const more = limit > 0 && start + limit < objects.length
    pages.push({ ...time, revision, objects: objects.slice(start, limit > 0 ? start + limit : undefined), more })
    if (!more) break
  }
  return {
    client: 'lister',
    resource: 'records',
    selection,
    asked: { exact: exact ? revision : undefined, atLeast: undefined, limit },
    after: undefined,
    began,
    ended: began + pages.length,
    pages,
    outcome: 'complete',
  }
}
