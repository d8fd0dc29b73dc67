/** What a watch must tell, given all that happened: etcd's nine laws, as clients of Kubernetes see them. */
import { type Change, type ChangeLog, changesAfter, stateAt } from './change-log.ts'
import {
  describeSeen,
  describeSelection,
  type History,
  type Law,
  type Seen,
  type Selection,
  selected,
  type Violation,
  type WatchEntry,
  type Watching,
} from './history.ts'
import { sameContent } from './object-model.ts'
import { mayHaveExpired } from './window-law.ts'

type Event = Extract<WatchEntry, { object: Seen }>

interface Message {
  type: Event['type']
  object: Seen
}

/** From where a watch goes on: what was before is known to it, what comes after has to be told. */
interface Beginning {
  revision: number
  /** Of the entries, how many came before. */
  initial: number
}

export interface WatchContext {
  log: ChangeLog
  history: History
}

/** The first law that the watch breaks; undefined where it keeps all. */
export function checkWatch(watching: Watching, context: WatchContext): Violation | undefined {
  if ('revision' in watching.from) return replay(watching, { revision: watching.from.revision, initial: 0 }, context)
  const beginnings = beginningsOf(watching, context.log)
  if (beginnings === 'partial') return undefined
  let last: Violation | undefined
  for (const beginning of beginnings) {
    last = replay(watching, beginning, context)
    if (!last) return undefined
  }
  if (last) return last
  return violation(watching, {
    law: 'initial',
    message: 'what it began with is not the state at any revision that was the newest then',
    evidence: watching.entries.slice(0, 60).map(describeEntry),
  })
}

/** What a watch is told of a change; undefined for nothing. */
export function messageFor({ key, revision, object, previous }: Change, selection: Selection): Message | undefined {
  const was = previous !== undefined && selected(selection, key, previous.content)
  const is = object !== undefined && selected(selection, key, object.content)
  if (is) return { type: was ? 'MODIFIED' : 'ADDED', object }
  // The last state that it knew, at the revision at which that ended.
  return was ? { type: 'DELETED', object: { ...previous, revision } } : undefined
}

/** Where the initial events may end; several revisions may have had the same state. */
function beginningsOf(watching: Watching, log: ChangeLog): readonly Beginning[] | 'partial' {
  const { resource, selection, from, entries, began, ended } = watching
  const end = entries.findIndex((entry) => entry.type === 'BOOKMARK' && entry.endsInitial)
  const marked = 'marked' in from && from.marked
  if (marked && end === -1) return 'partial'
  const bookmark = entries[end] as Extract<WatchEntry, { type: 'BOOKMARK' }> | undefined
  const low = bookmark?.revision ?? log.timeline.floor(began)
  const high = bookmark?.revision ?? log.timeline.ceiling(entries[0]?.at ?? ended)
  const state = stateAt(log, resource, low)
  const found: Beginning[] = []
  let partial = false
  const consider = (revision: number): void => {
    const initial = [...state.values()]
      .filter(({ key, content }) => selected(selection, key, content))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
    const same = initial.findIndex((object, index) => !isAdded(entries[index], object))
    if (same === -1 && (!marked || end === initial.length))
      found.push({ revision, initial: marked ? end + 1 : initial.length })
    else if (same === entries.length) partial = true
  }
  consider(low)
  for (const change of changesAfter(log, resource, low)) {
    if (change.revision > high) break
    if (change.object) state.set(change.key, change.object)
    else state.delete(change.key)
    consider(change.revision)
  }
  // The connection broke, or the client left, before all of it was there.
  return found.length === 0 && partial ? 'partial' : found
}

function isAdded(entry: WatchEntry | undefined, object: Seen): boolean {
  return entry?.type === 'ADDED' && sameSeen(entry.object, object)
}

function sameSeen(a: Seen, b: Seen): boolean {
  return a.key === b.key && a.uid === b.uid && a.revision === b.revision && sameContent(a.content, b.content)
}

function replay(watching: Watching, beginning: Beginning, { log, history }: WatchContext): Violation | undefined {
  const { resource, selection, entries } = watching
  const expected = messages(changesAfter(log, resource, beginning.revision), selection, log)
  const told = new Set<number>()
  let position = beginning.revision
  /** Whether the position is one that a bookmark gave. */
  let marked = false

  /** What should have been told up to a revision and was not. */
  function missing(revision: number): Message | undefined {
    for (;;) {
      const next = expected.peek()
      if (!next || next.object.revision > revision) return undefined
      if (!log.isCloudy(next.object.key, next.object.revision)) return next
      expected.take()
    }
  }

  function judge(entry: WatchEntry): { law: Law; message: string } | undefined {
    if (entry.type === 'ERROR') {
      if (
        entry.reason !== 'Expired' ||
        mayHaveExpired({ resource, revision: position, at: entry.at }, { log, history })
      )
        return undefined
      return { law: 'kept', message: `revision ${position} has expired, and what came after it is within the window` }
    }
    if (entry.type === 'BOOKMARK') {
      if (entry.revision < position)
        return { law: 'bookmarkable', message: `the bookmark ${entry.revision} goes back behind ${position}` }
      const skipped = missing(entry.revision)
      if (skipped)
        return { law: 'bookmarkable', message: `the bookmark ${entry.revision} overtakes ${describeMessage(skipped)}` }
      position = entry.revision
      marked = true
      return undefined
    }
    const { key, revision } = entry.object
    if (revision <= position) return late(entry)
    const skipped = missing(revision - 0.5)
    if (skipped) return absent(skipped)
    position = revision
    marked = false
    told.add(revision)
    const wanted = expected.peek()
    if (wanted?.object.revision === revision) {
      expected.take()
      return difference(entry, wanted)
    }
    return log.isCloudy(key, revision)
      ? undefined
      : { law: 'filter', message: `${describeMessage(entry)} is not what it asked for` }
  }

  /** It was told later, or never. */
  function absent(skipped: Message): { law: Law; message: string } {
    const { key, revision } = skipped.object
    if (entries.some((entry) => 'object' in entry && entry.object.revision === revision && entry.object.key === key))
      return { law: 'ordered', message: `${describeMessage(skipped)} was told after what came after it` }
    const law = told.size === 0 && 'revision' in watching.from ? 'resumable' : 'reliable'
    return { law, message: `${describeMessage(skipped)} was never told` }
  }

  function late(entry: Event): { law: Law; message: string } {
    const { revision, key } = entry.object
    const message = `${describeMessage(entry)} comes after ${position}`
    if (told.has(revision)) {
      const other = entries.find((each) => 'object' in each && each.object.revision === revision) as Event
      return { law: other.object.key === key ? 'unique' : 'atomic', message }
    }
    if (marked) return { law: 'bookmarkable', message }
    return { law: told.size === 0 ? 'resumable' : 'ordered', message }
  }

  function difference(entry: Event, wanted: Message): { law: Law; message: string } | undefined {
    if (log.isCloudy(entry.object.key, entry.object.revision)) return undefined
    const message = `it was told ${describeMessage(entry)}, and that was ${describeMessage(wanted)}`
    if (entry.type !== wanted.type)
      return { law: entry.type === 'DELETED' || wanted.type === 'DELETED' ? 'filter' : 'isCreate', message }
    if (sameSeen(entry.object, wanted.object)) return undefined
    return { law: entry.type === 'DELETED' ? 'prevState' : 'one revision, one change', message }
  }

  for (const [index, entry] of entries.entries()) {
    if (index < beginning.initial) continue
    const judged = judge(entry)
    if (judged) return violation(watching, { ...judged, evidence: around(entries, index) })
  }
  const skipped = watching.until === undefined ? undefined : missing(watching.until)
  if (!skipped) return undefined
  return violation(watching, {
    law: 'reliable',
    message: `${describeMessage(skipped)} was never told, though it was read to the end`,
    evidence: around(entries, entries.length - 1),
  })
}

interface Messages {
  peek(): Message | undefined
  take(): void
}

function messages(changes: readonly Change[], selection: Selection, log: ChangeLog): Messages {
  let index = 0
  let next: Message | undefined
  return {
    peek() {
      while (!next && index < changes.length) {
        const change = changes[index++] as Change
        // Nobody knows when exactly this one happened.
        if (log.byRevision.has(change.revision) && Number.isInteger(change.revision))
          next = messageFor(change, selection)
      }
      return next
    },
    take() {
      next = undefined
    },
  }
}

function around(entries: readonly WatchEntry[], index: number): string[] {
  return entries.slice(Math.max(0, index - 5), index + 1).map(describeEntry)
}

function describeMessage({ type, object }: Message): string {
  return `${type} ${describeSeen(object)}`
}

function describeEntry(entry: WatchEntry): string {
  const at = entry.at.toFixed(1)
  if (entry.type === 'ERROR') return `${at} ERROR ${entry.code} ${entry.reason}`
  if (entry.type === 'BOOKMARK')
    return `${at} BOOKMARK ${entry.revision}${entry.endsInitial ? ' (end of what was there)' : ''}`
  return `${at} ${describeMessage(entry)}`
}

function violation(watching: Watching, { law, message, evidence }: Violation): Violation {
  const { client, resource, selection, from, began, ended, end } = watching
  const since = 'revision' in from ? `from ${from.revision}` : 'from the present'
  const head = `${client} watched ${describeSelection(resource, selection)} ${since}, ${began.toFixed(1)}-${ended.toFixed(1)} (${end})`
  return { law, message: `${head}: ${message}`, evidence }
}
