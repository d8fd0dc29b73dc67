/** Clients that watch: from the present, from an old revision, or as informers do, list first and then go on. */
import type { ClientRequest, IncomingMessage } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { type Connection, createConnection } from './connection.ts'
import { resourceOf, type Seen, type Selection, selected, type WatchEntry, type Watching } from './history.ts'
import { KINDS, type Kind, queryOf } from './kinds.ts'
import { type ClientOptions, chooseSelection, EVERYTHING, listInPages } from './lister.ts'
import { noteRevision, type Recorder } from './recorder.ts'
import { entryOf, type WireEvent } from './watch-entry.ts'
import { NAMESPACES } from './writer.ts'

interface WatchOptions {
  recorder: Recorder
  client: string
  kind: Kind
  selection: Selection
  from: Watching['from']
  bookmarks: boolean
  /** After which the server ends it. */
  timeoutSeconds: number | undefined
  /** How long the client watches, ms; undefined until the server ends it or the run is over. */
  patience: number | undefined
  /** How long the client does not read after the first byte, ms. */
  sleeps: number
  /** What the client is to be told before it goes, once the run is over. */
  last?: LastEvents | undefined
}

/** The events that a run ends with. */
export interface LastEvents {
  /** Resolves with what was written last, when all of it was written. */
  written: Promise<readonly Seen[]>
  /** No watch may take longer, ms. */
  patience: number
}

/** Watches, and writes down what came. */
export async function watchOnce(connection: Connection, options: WatchOptions): Promise<Watching> {
  const { recorder, client, kind, selection, from } = options
  const began = recorder.now()
  const entries: WatchEntry[] = []
  let end: Watching['end'] = 'lost'
  let until: number | undefined
  try {
    const { request, response } = await connection.open(kind.path(selection.namespace), parametersOf(options))
    if (response.statusCode === 200) {
      const outcome = await read(options, { request, response, entries })
      end = outcome.end
      until = outcome.until
    } else {
      end = 'refused'
      response.resume()
      if ((response.statusCode ?? 0) < 429) recorder.unexpected(`watch of ${kind.resource}: ${response.statusCode}`)
    }
  } catch {
    // The connection broke before there was an answer.
  }
  const watching = {
    client,
    resource: kind.resource,
    selection,
    from,
    began,
    ended: recorder.now(),
    entries,
    end,
    until,
  }
  recorder.watchings.push(watching)
  return watching
}

function parametersOf({ selection, from, bookmarks, timeoutSeconds }: WatchOptions): Record<string, string> {
  const revision = 'revision' in from ? String(from.revision) : undefined
  return {
    watch: 'true',
    ...queryOf(selection),
    ...(revision !== undefined && { resourceVersion: revision }),
    ...('marked' in from && from.marked && { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }),
    ...((bookmarks || ('marked' in from && from.marked)) && { allowWatchBookmarks: 'true' }),
    ...(timeoutSeconds !== undefined && { timeoutSeconds: String(timeoutSeconds) }),
  }
}

interface OpenWatch {
  request: ClientRequest
  response: IncomingMessage
  entries: WatchEntry[]
}

/** Resolves when it is over. */
async function read(
  { recorder, kind, selection, patience, sleeps, last }: WatchOptions,
  { request, response, entries }: OpenWatch,
): Promise<{ end: Watching['end']; until: number | undefined }> {
  const over = new AbortController()
  let partial = ''
  let leaving = false
  let wake = (): void => undefined
  response.setEncoding('utf8')
  response.on('data', (text: string) => {
    const lines = (partial + text).split('\n')
    partial = lines.pop() ?? ''
    for (const line of lines) {
      const entry = entryOf(JSON.parse(line) as WireEvent, kind, recorder.now())
      if (entry.type !== 'ERROR') noteRevision(recorder, 'object' in entry ? entry.object.revision : entry.revision)
      entries.push(entry)
    }
    wake()
  })
  const ended = new Promise<Watching['end']>((resolve) => {
    response.on('close', () => resolve(leaving ? 'client' : response.complete ? 'server' : 'lost'))
    response.on('error', () => undefined)
  })
  over.signal.addEventListener('abort', () => wake())
  response.on('close', () => over.abort())
  const leave = (): void => {
    leaving = true
    request.destroy()
  }
  const pause = (ms: number, signal: AbortSignal): Promise<void> =>
    setTimeout(ms, undefined, { signal: AbortSignal.any([over.signal, signal]) }).catch(() => undefined)
  if (sleeps > 0) {
    response.pause()
    await pause(sleeps, recorder.stopped)
    response.resume()
  }
  let until: number | undefined
  await pause(patience ?? 2 ** 30, recorder.stopped)
  if (recorder.stopped.aborted && last && !over.signal.aborted) {
    const written = await last.written
    const wanted = written.findLast(
      ({ key, content }) => resourceOf(key) === kind.resource && selected(selection, key, content),
    )
    const deadline = AbortSignal.timeout(last.patience)
    const enough = AbortSignal.any([over.signal, deadline])
    enough.addEventListener('abort', () => wake())
    const told = (): boolean => entries.some((entry) => 'object' in entry && entry.object.revision === wanted?.revision)
    while (!enough.aborted && !told())
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    // One that the server ended has been told all that it will be.
    if (!over.signal.aborted) until = wanted?.revision
  }
  leave()
  return { end: await ended, until }
}

/** Where a watch that ended can be gone on with; undefined where there has to be a list first. */
function resumeAt({ from, entries }: Watching): number | undefined {
  if (entries.some(({ type }) => type === 'ERROR')) return undefined
  let revision = 'revision' in from ? from.revision : undefined
  const marked = 'marked' in from && from.marked
  for (const entry of entries) {
    if (entry.type === 'BOOKMARK') revision = entry.revision
    else if (entry.type !== 'ERROR' && (revision !== undefined || !marked)) revision = entry.object.revision
  }
  return revision
}

/** Lists, watches from there, and goes on from where it was for as long as that is possible: what an informer does. */
export async function runInformer(
  { recorder, client, random }: ClientOptions,
  { kind, selection, last }: { kind: Kind; selection: Selection; last: LastEvents },
): Promise<void> {
  using connection = createConnection(recorder.endpoint)
  let revision: number | undefined
  while (!recorder.stopped.aborted) {
    await recorder.serving()
    if (recorder.stopped.aborted) return
    if (revision === undefined) {
      const asked = { exact: undefined, atLeast: undefined, limit: random.chance(0.5) ? 5 : 0 }
      const listing = await listInPages(connection, { recorder, client, kind, selection, asked, pauseMs: 0 })
      if (listing.outcome !== 'complete') continue
      revision = listing.pages[0]?.revision
    }
    const timeoutSeconds = random.chance(0.5) ? 3 + random.integer(5) : undefined
    const watching = await watchOnce(connection, {
      recorder,
      client,
      kind,
      selection,
      from: { revision: revision ?? 0 },
      bookmarks: true,
      timeoutSeconds,
      patience: undefined,
      sleeps: 0,
      last,
    })
    revision = resumeAt(watching)
  }
}

/** Watches of every kind, for a while each. */
export async function runWatcher({ recorder, client, random }: ClientOptions, last: LastEvents): Promise<void> {
  using connection = createConnection(recorder.endpoint)
  while (!recorder.stopped.aborted) {
    await recorder.serving()
    if (recorder.stopped.aborted) return
    const kind = random.pick(KINDS)
    const selection = random.chance(0.15)
      ? { ...EVERYTHING, namespace: random.pick(NAMESPACES), name: random.pick(['one', 'two']) }
      : chooseSelection(kind, random)
    const past = { revision: Math.max(1, recorder.newest - random.integer(random.chance(0.2) ? 5000 : 200)) }
    const from = random.pick<Watching['from']>([
      { initial: true, marked: false },
      { initial: true, marked: true },
      past,
      past,
    ])
    await watchOnce(connection, {
      recorder,
      client,
      kind,
      selection,
      from,
      bookmarks: random.chance(0.5),
      timeoutSeconds: random.chance(0.3) ? 3 : undefined,
      patience: 200 + random.integer(4000),
      sleeps: 0,
      last: selection.name === undefined ? last : undefined,
    })
  }
}

/** Watches everything and does not read for a while, which may be longer than the server waits. */
export async function runSleeper({ recorder, client, random }: ClientOptions, sleeps: () => number): Promise<void> {
  using connection = createConnection(recorder.endpoint)
  while (!recorder.stopped.aborted) {
    await recorder.serving()
    if (recorder.stopped.aborted) return
    await watchOnce(connection, {
      recorder,
      client,
      kind: random.pick(KINDS),
      selection: EVERYTHING,
      from: { revision: Math.max(1, recorder.newest) },
      bookmarks: false,
      timeoutSeconds: undefined,
      patience: 500 + random.integer(1000),
      // Every other time it wakes up before the server loses patience, and has to be told of all that came meanwhile.
      sleeps: random.chance(0.5) ? sleeps() : sleeps() / 5,
    })
  }
}
