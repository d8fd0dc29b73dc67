/**
 * GET with `watch`: what is there (where asked for), then every change, in order, each once.
 *
 * A watch is a position in the history of its resource. While its client keeps up it hears of each commit; when the
 * client does not, the watch stops listening and later reads on from its position in the event window. So a slow client
 * costs nothing but its own buffer, and one that is too slow is told that its position has expired. A webhook that has to
 * convert what is to be sent is waited for in the same way.
 */
import { type KubeObject, LONGEST_TIMER } from '@caisson/api'
import { groupVersion, storageKey } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { StatusError } from '../status-error.ts'
import type { Store, StoreEvent } from '../storage/store.ts'
import type { AcceptedWatch, Call, RunningWatch, WatchMessage, WatchSink } from './call.ts'
import type { Environment } from './environment.ts'
import { quoted } from './errors.ts'
import { type ListOptions, listOptions, type Selection } from './list-options.ts'
import { OpenQuestion } from './open-question.ts'
import { parseResourceVersion, tooLargeResourceVersion } from './resource-version.ts'
import { fromStorage, prepareViews } from './versions.ts'

const BOOKMARK_EVERY_MS = 60_000
/** Before the end of a watch. */
const LAST_BOOKMARK_MS = 2000
/** kube-apiserver's minimum; each watch ends at random between this and twice this, so that not all come back at once. */
const MIN_TIMEOUT_MS = 1_800_000
/** Events whose objects are converted together where a watch has fallen behind. */
const MOST_CONVERTED = 100

/** Checks the parameters. What goes wrong later is told to the watcher as an ERROR event. */
export function acceptWatch(call: Call, resource: Resource, environment: Environment): AcceptedWatch {
  const options = listOptions(call, resource, true)
  let since: number | undefined
  try {
    since = parseResourceVersion(options.resourceVersion)
  } catch (error) {
    throw new StatusError(
      'Unknown',
      `resourceVersion: Invalid value: ${quoted(options.resourceVersion)}: ${(error as Error).message}`,
    )
  }
  return {
    resource,
    start: (sink) => runWatch({ resource, options, since: since ?? 0, store: environment.store, sink }),
  }
}

interface WatchContext {
  resource: Resource
  options: ListOptions
  /** 0 for any state. */
  since: number
  store: Store
  sink: WatchSink
}

function runWatch({ resource, options, since, store, sink }: WatchContext): RunningWatch {
  const key = storageKey(resource)
  const { selection } = options
  /** Everything up to here has been sent or does not concern this watch. */
  let position = since
  let initial: Iterator<KubeObject> | undefined
  let converting = false
  let subscription: Disposable | undefined
  let ended = false

  function end(): void {
    if (ended) return
    stop()
    sink.end()
  }

  function stop(): void {
    ended = true
    clearTimeout(timeout)
    clearInterval(bookmarks)
    clearTimeout(lastBookmark)
    subscription?.[Symbol.dispose]()
  }

  function fail(error: StatusError): void {
    try {
      sink.send({ type: 'ERROR', object: error.toStatus() })
    } finally {
      end()
    }
  }

  /** Sends until the client is level with the store, or has to be waited for. */
  function advance(): void {
    if (ended || subscription || converting || (initial && !sendInitial())) return
    const past = store.eventsAfter(key, position)
    if (!past) return fail(tooOld(position, store.compactedRevision(key)))
    for (const event of past) if (!deliver(event, past)) return
    subscription = store.subscribe(key, store.revision, onEvent)
  }

  function onEvent(event: StoreEvent): void {
    if (event.revision <= position || deliver(event, [event])) return
    pause()
  }

  function pause(): void {
    subscription?.[Symbol.dispose]()
    subscription = undefined
  }

  /** Returns false where the client, or a webhook, has to be waited for, and where the watch has ended. */
  function deliver(event: StoreEvent, past: readonly StoreEvent[]): boolean {
    try {
      const message = messageFor(event, resource, selection)
      position = event.revision
      return message === undefined || sink.send(message)
    } catch (error) {
      // An event that cannot be shown is left out for nobody: this watch ends, and the others go on.
      if (!(error instanceof OpenQuestion)) fail(asStatusError(error))
      else convertNext(event, past)
      return false
    }
  }

  function convertNext(event: StoreEvent, past: readonly StoreEvent[]): void {
    const first = past.indexOf(event)
    const next = past.slice(first, first + MOST_CONVERTED)
    convert(next.flatMap(({ object, previous }) => (previous ? [object, previous] : [object])))
  }

  /** Goes on once there are views of all of them. */
  function convert(objects: readonly KubeObject[]): void {
    converting = true
    void convertAndGoOn(objects).catch((error: unknown) => fail(asStatusError(error)))
  }

  async function convertAndGoOn(objects: readonly KubeObject[]): Promise<void> {
    await prepareViews(resource, objects)
    converting = false
    advance()
  }

  function sendInitial(): boolean {
    for (;;) {
      const next = (initial as Iterator<KubeObject>).next()
      if (next.done) break
      if (!selection.matches(seen(resource, next.value))) continue
      if (!sink.send({ type: 'ADDED', object: fromStorage(resource, next.value) })) return false
    }
    initial = undefined
    // Only where it was asked for: a watch from "0" has initial events too, but no end of them.
    if (options.allowWatchBookmarks && options.sendInitialEvents)
      return sink.send({ type: 'BOOKMARK', object: bookmark(resource, position, true) })
    return true
  }

  function sendBookmark(): void {
    if (!subscription || ended) return
    position = Math.max(position, store.revision)
    // A client that takes nothing gets no more of them either, and what holds it for stalled is not put off each time.
    if (!sink.send({ type: 'BOOKMARK', object: bookmark(resource, position, false) })) pause()
  }

  const lifetime = options.timeoutSeconds
    ? Math.min(Math.max(options.timeoutSeconds * 1000, 1), LONGEST_TIMER)
    : MIN_TIMEOUT_MS * (1 + Math.random())
  const timeout = setTimeout(end, lifetime).unref()
  const bookmarks = options.allowWatchBookmarks ? setInterval(sendBookmark, BOOKMARK_EVERY_MS).unref() : undefined
  // The last one, so that whoever comes back need not hear again of what did not concern it.
  const lastBookmark =
    options.allowWatchBookmarks && lifetime > LAST_BOOKMARK_MS
      ? setTimeout(sendBookmark, lifetime - LAST_BOOKMARK_MS).unref()
      : undefined

  if (options.sendInitialEvents && since > store.revision)
    fail(tooLargeResourceVersion(options.resourceVersion, store.revision))
  else {
    const first = options.sendInitialEvents ? current(store, resource, selection) : undefined
    if (first || since === 0) position = store.revision
    if (first && resource.conversion) {
      const objects = [...first]
      initial = objects.values()
      convert(objects)
    } else {
      initial = first?.[Symbol.iterator]()
      advance()
    }
  }
  return {
    resume: advance,
    [Symbol.dispose]: stop,
  }
}

function current(store: Store, resource: Resource, { namespace, name }: Selection): Iterable<KubeObject> {
  const key = storageKey(resource)
  if (name === undefined || (namespace === undefined && resource.namespaced)) return store.list(key, namespace)
  const object = store.get(key, namespace, name)
  return object ? [object] : []
}

/** What the watcher is told: to it, an object that its selectors no longer match is gone. */
function messageFor(event: StoreEvent, resource: Resource, selection: Selection): WatchMessage | undefined {
  const { object, previous, type } = event
  const { metadata } = object
  if (selection.namespace !== undefined && metadata.namespace !== selection.namespace) return undefined
  if (selection.name !== undefined && metadata.name !== selection.name) return undefined
  if (!selection.filtered) return { type, object: fromStorage(resource, object) }
  const was = previous !== undefined && selection.matches(seen(resource, previous))
  const is = type !== 'DELETED' && selection.matches(seen(resource, object))
  if (is) return { type: was ? 'MODIFIED' : 'ADDED', object: fromStorage(resource, object) }
  if (!was) return undefined
  const last = type === 'DELETED' ? fromStorage(resource, object) : departed(fromStorage(resource, previous), object)
  return { type: 'DELETED', object: last }
}

/** What selectors look at: of kinds that a webhook converts what the client sees, which may have other labels and fields. */
function seen(resource: Resource, stored: KubeObject): KubeObject {
  return resource.conversion ? fromStorage(resource, stored) : stored
}

/** The last state that matched, with the revision of its departure. */
function departed(previous: KubeObject, object: KubeObject): KubeObject {
  const { resourceVersion } = object.metadata
  return Object.freeze({
    ...previous,
    metadata: Object.freeze({ ...previous.metadata, ...(resourceVersion && { resourceVersion }) }),
  })
}

function bookmark(resource: Resource, revision: number, endsInitialEvents: boolean): object {
  return {
    kind: resource.kind,
    apiVersion: groupVersion(resource),
    metadata: {
      resourceVersion: String(revision),
      ...(endsInitialEvents && { annotations: { 'k8s.io/initial-events-end': 'true' } }),
    },
  }
}

function tooOld(wanted: number, oldest: number): StatusError {
  return new StatusError('Expired', `too old resource version: ${wanted} (${oldest})`)
}

function asStatusError(error: unknown): StatusError {
  return error instanceof StatusError ? error : new StatusError('InternalError', String(error), { cause: error })
}
