/**
 * Keeps somebody informed about every object of a resource, for ever: one list (as the first part of a watch, or in
 * pages where the server cannot do that), then watches, each beginning where the one before ended.
 */
import { ApiError, hasReason, isApiError, isExpired } from './api-error.ts'
import type { Client } from './client.ts'
import type { ResourceEvent, ResourceList, WatchOptions } from './client-options.ts'
import { abortableDelay } from './delay.ts'
import { compareVersions } from './object-cache.ts'
import { type AnyObject, keyOf, type Resource } from './resource.ts'
import { TransportError } from './transport-error.ts'

export interface Scope {
  /** All namespaces where it is left out. */
  namespace?: string
  labelSelector?: string
  fieldSelector?: string
}

export interface ReflectorTiming {
  /** ms; the longest wait after the first failure, doubled by each further one, up to `maxBackoff`. */
  minBackoff?: number
  maxBackoff?: number
  /** ms that a watch has to have lasted for the failures before it to be forgotten. */
  stableAfter?: number
}

interface ReflectorSink<T extends AnyObject> {
  replace(objects: readonly T[], resourceVersion: string): void
  put(object: T): void
  remove(object: T): void
  /** Everything up to this version was said. */
  advance(version: string | undefined): void
  /** A watch stands: everything up to now was said. */
  connected(): void
  /** It does not, and the next attempt is on its way. */
  disconnected(error: unknown): void
}

export interface ReflectorOptions<T extends AnyObject> {
  client: Client
  resource: Resource<T>
  scope: Scope
  /** Applied to each object before anybody sees it. */
  ingest: (object: T) => T
  sink: ReflectorSink<T>
  signal: AbortSignal
  timing?: ReflectorTiming | undefined
}

const DEFAULT_TIMING = { minBackoff: 800, maxBackoff: 30_000, stableAfter: 5_000 } satisfies Required<ReflectorTiming>
const PAGE = 500
/** Marks the bookmark that ends the initial events of a streamed list. */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'
/** Failures in a row without one event in between, after which the state itself is doubted and listed anew. */
const DOUBT_AFTER = 3

/** Runs until the signal is aborted; no error ends it. */
export async function runReflector<T extends AnyObject>(options: ReflectorOptions<T>): Promise<void> {
  const { client, resource, scope, ingest, sink, signal } = options
  const timing = { ...DEFAULT_TIMING, ...options.timing }
  /** Where the next watch begins; undefined: list first. */
  let version: string | undefined
  let streamedLists = true
  let unfinishedLists = 0
  /** Streamed lists in a row that broke on their way, and how many objects the one under way has said. */
  let brokenLists = 0
  let listed = 0
  let failures = 0

  while (!signal.aborted) {
    const startedAt = performance.now()
    const before = version
    try {
      if (version === undefined && (!streamedLists || brokenLists >= 2)) {
        // A connection that breaks within a long answer may still carry short ones.
        version = await listPages()
        brokenLists = 0
      }
      await watchOnce()
      if (performance.now() - startedAt >= timing.stableAfter) failures = 0
      else {
        // A server that ends its watches at once is not to be asked again as fast as it can answer.
        failures = version === before ? failures + 1 : 1
        await backOff()
      }
    } catch (error) {
      if (signal.aborted) return
      if (performance.now() - startedAt >= timing.stableAfter) failures = 0
      if (version === undefined && streamedLists && refusesStreamedLists(error)) {
        streamedLists = false
        continue
      }
      sink.disconnected(error)
      if (version === undefined && listed > 0) brokenLists++
      // What went on from event to event is no failure in a row, however often it breaks: only silence is waited out.
      failures = version === before ? failures + 1 : 1
      const stuck = failures >= DOUBT_AFTER && version === before
      if (stuck || outdates(error)) version = undefined
      await backOff()
    }
  }

  /** Full jitter: servers that come back must not be met by everybody at once. */
  async function backOff(): Promise<void> {
    const longest = Math.min(timing.maxBackoff, timing.minBackoff * 2 ** (failures - 1))
    await abortableDelay(Math.random() * longest, signal).catch(() => {})
  }

  async function listPages(): Promise<string> {
    try {
      return await listWith(PAGE)
    } catch (error) {
      // The first page's point in time is gone already: this list is too large for pages.
      if (isExpired(error)) return listWith(undefined)
      throw error
    }
  }

  async function listWith(limit: number | undefined): Promise<string> {
    const objects: T[] = []
    let next: string | undefined
    for (;;) {
      const page: ResourceList<T> = await client.list(resource, {
        ...scope,
        signal,
        ...(limit !== undefined && { limit }),
        ...(next !== undefined && { continue: next }),
      })
      for (const object of page.items) objects.push(ingest(object))
      next = page.continue
      if (next === undefined) {
        sink.replace(objects, page.resourceVersion)
        return page.resourceVersion
      }
    }
  }

  /** One watch, from its request to its end. */
  async function watchOnce(): Promise<void> {
    let initial = version === undefined ? new Map<string, T>() : undefined
    listed = 0
    const request: WatchOptions = {
      ...scope,
      signal,
      allowWatchBookmarks: true,
      // Spread, so that the watches of one process do not end together.
      timeoutSeconds: 270 + Math.floor(Math.random() * 61),
      ...(version === undefined
        ? { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' }
        : { resourceVersion: version, onOpen: sink.connected }),
    }
    for await (const event of client.watch(resource, request)) {
      if (event.type === 'ERROR') throw new ApiError(event.object)
      advance(event, initial !== undefined)
      if (initial) {
        collect(initial, event)
        listed = initial.size
        if (!endsInitialEvents(event)) continue
        version = event.object.metadata.resourceVersion
        sink.replace([...initial.values()], version ?? '')
        sink.connected()
        initial = undefined
        unfinishedLists = 0
        brokenLists = 0
      } else if (event.type === 'DELETED') sink.remove(ingest(event.object))
      else if (event.type === 'BOOKMARK') sink.advance(event.object.metadata.resourceVersion)
      else sink.put(ingest(event.object))
    }
    if (initial) {
      // Some servers take the parameter and do not know it.
      unfinishedLists++
      if (unfinishedLists >= 2) streamedLists = false
      throw new TransportError('lost', 'the watch ended before it had said everything that there is')
    }
  }

  function collect(initial: Map<string, T>, event: ResourceEvent<T>): void {
    if (event.type === 'ADDED' || event.type === 'MODIFIED') initial.set(keyOf(event.object), ingest(event.object))
    else if (event.type === 'DELETED') initial.delete(keyOf(event.object))
  }

  /** Bookmarks may come late: the point from which to go on never moves back. */
  function advance(event: ResourceEvent<T>, isInitial: boolean): void {
    if (isInitial || event.type === 'ERROR') return
    const next = event.object.metadata.resourceVersion
    if (!next) return
    const order = compareVersions(next, version)
    if (order === undefined || order > 0) version = next
  }
}

function endsInitialEvents(event: ResourceEvent<AnyObject>): boolean {
  return event.type === 'BOOKMARK' && event.object.metadata.annotations?.[INITIAL_EVENTS_END] === 'true'
}

/** 4xx that mean the request's form, not the resource, the credentials or the load. */
function refusesStreamedLists(error: unknown): boolean {
  return isApiError(error) && [400, 405, 406, 415, 422].includes(error.code)
}

/** Errors after which a watch from the same version will not succeed either. */
function outdates(error: unknown): boolean {
  if (!isApiError(error)) return false
  if (isExpired(error) || error.code === 410 || error.code === 400) return true
  // The server was restored to a point before ours.
  return (
    hasReason(error, 'Timeout') &&
    (error.details?.causes ?? []).some((cause) => cause.reason === 'ResourceVersionTooLarge')
  )
}
