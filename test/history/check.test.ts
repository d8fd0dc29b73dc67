import { describe, expect, test } from 'vitest'
import { checkHistory } from './check.ts'
import {
  ALL,
  type CorrectServer,
  createCorrectServer,
  LEFT,
  listing,
  operate,
  RED,
  watching,
} from './correct-server.ts'
import type { History, Law, Listing, Operation, Request, Seen, WatchEntry, Watching } from './history.ts'

const ONE = 'records/a/one'
const TWO = 'records/a/two'
const OTHER = 'records/b/one'
const content = (value: string, side: string, colour: string) => ({ value, side, colour })

/** Ten writes with a read after each; the n-th is of revision n + 2 and at n * 100 + 200. */
const SCRIPT: readonly Request[] = [
  { verb: 'create', key: ONE, content: content('w2', 'left', 'red') },
  { verb: 'create', key: TWO, content: content('w3', 'right', 'blue') },
  { verb: 'create', key: OTHER, content: content('w4', '', 'red') },
  { verb: 'patch', key: ONE, content: { value: 'w5', side: 'right' }, revision: undefined },
  { verb: 'update', key: TWO, content: content('w6', 'left', 'blue'), revision: 3 },
  { verb: 'delete', key: OTHER, revision: undefined },
  { verb: 'create', key: OTHER, content: content('w8', 'left', 'green') },
  { verb: 'patch', key: TWO, content: { value: 'w9', colour: 'red' }, revision: undefined },
  { verb: 'update', key: ONE, content: content('w10', 'left', 'blue'), revision: undefined },
  { verb: 'delete', key: TWO, revision: 9 },
]

interface Parts {
  history: CorrectServer['history']
  writes: Operation[]
  reads: Operation[]
  all: Watching
  left: Watching
  red: Watching
  marked: Watching
  paged: Listing
  exact: Listing
}

/** A history in which every law holds, and its parts. */
function correctHistory(): Parts {
  const server = createCorrectServer()
  const { history } = server
  for (const [index, request] of SCRIPT.entries()) {
    operate(server, request, index * 100 + 200)
    operate(server, { verb: 'get', key: request.key }, index * 100 + 250)
    if (index === 4) history.listings.push(listing(server, { selection: ALL, revision: 6, limit: 2, began: 655 }))
  }
  history.listings.push(listing(server, { selection: ALL, revision: 5, limit: 2, began: 2000, exact: true }))
  history.watchings.push(
    watching(server, { selection: ALL, since: 1, began: 1 }),
    watching(server, { selection: LEFT, since: 1, began: 1 }),
    watching(server, { selection: RED, since: 6, began: 651, initial: 'unmarked' }),
    watching(server, { selection: RED, since: 6, began: 652, initial: 'marked' }),
  )
  // Nothing in it is in two places.
  const copy = JSON.parse(JSON.stringify(history)) as typeof history
  const [all, left, red, marked] = copy.watchings as [Watching, Watching, Watching, Watching]
  const [paged, exact] = copy.listings as [Listing, Listing]
  const writes = copy.operations.filter(({ request }) => request.verb !== 'get')
  const reads = copy.operations.filter(({ request }) => request.verb === 'get')
  return { history: copy, writes, reads, all, left, red, marked, paged, exact }
}

type Writable<T> = { -readonly [K in keyof T]: Writable<T[K]> }
type Events = Extract<WatchEntry, { object: Seen }>[]

/** Each breaks one law in a history that keeps all, and says which. */
const BREAKS: readonly [what: string, law: Law, change: (parts: Writable<Parts>) => void][] = [
  [
    'a read shows a state that was replaced before',
    'linearizable',
    ({ reads, writes }) => {
      ;(reads[3] as Writable<Operation>).outcome = writes[0]!.outcome
    },
  ],
  [
    'a read finds nothing where there is something',
    'linearizable',
    ({ reads }) => {
      reads[2]!.outcome = { kind: 'refused', reason: 'NotFound' }
    },
  ],
  [
    'a read finds what was deleted',
    'linearizable',
    ({ reads, writes }) => {
      reads[5]!.outcome = writes[2]!.outcome
    },
  ],
  [
    'a create is refused where there is nothing',
    'linearizable',
    ({ writes, reads, history }) => {
      writes[9]!.request = { verb: 'create', key: 'records/b/none', content: content('n', '', 'red') }
      writes[9]!.outcome = { kind: 'refused', reason: 'AlreadyExists' }
      drop(history, 11, reads[9])
    },
  ],
  [
    'an update on condition of another revision is done',
    'linearizable',
    ({ writes }) => {
      ;(writes[4]!.request as { revision: number }).revision = 2
    },
  ],
  [
    'an update on condition of its revision is refused',
    'linearizable',
    ({ history }) => {
      history.operations.push({
        client: 'writer',
        began: 2000,
        ended: 2001,
        request: { verb: 'update', key: ONE, content: content('c', '', ''), revision: 10 },
        outcome: { kind: 'refused', reason: 'Conflict' },
      })
    },
  ],
  [
    'a patch undoes what was changed before it',
    'linearizable',
    ({ history }) => {
      // The label of the state before the last.
      for (const seen of everySeen(history)) if (seen.revision === 9) seen.content.side = 'right'
    },
  ],
  [
    'what was refused is there',
    'refused is refused',
    ({ writes }) => {
      writes[7]!.outcome = { kind: 'refused', reason: 'Conflict' }
    },
  ],
  [
    'what a full disk did not take is there',
    'refused is refused',
    ({ writes }) => {
      writes[7]!.outcome = { kind: 'nothing', reason: 'the disk is full' }
    },
  ],
  [
    'two objects have one revision',
    'one revision, one change',
    ({ writes }) => {
      ;(writes[1]!.outcome as { object: Seen }).object.revision = 2
    },
  ],
  [
    'one write has two revisions',
    'one revision, one change',
    ({ all }) => {
      ;(all.entries as Events)[1]!.object.revision = 3.25
    },
  ],
  [
    'a deletion has the revision of another change',
    'one revision, one change',
    ({ all }) => {
      ;(all.entries as Events)[5]!.object.revision = 6
    },
  ],
  [
    'a write gets a lower revision than one before it',
    'rising',
    ({ history }) => {
      // As if the server had come up without its last writes and counted anew.
      renumber(
        history,
        new Map([
          [9, 10],
          [10, 9],
        ]),
      )
    },
  ],
  [
    'a deletion gets a revision that was there before',
    'rising',
    ({ history }) => {
      renumber(
        history,
        new Map([
          [10, 11],
          [11, 10],
        ]),
      )
    },
  ],
  [
    'a list is older than what was shown before',
    'fresh',
    ({ paged, exact }) => {
      paged.pages = exact.pages.map((page) => ({ ...page, began: 655, ended: 656 }))
    },
  ],
  [
    'an object becomes another one',
    'life',
    ({ history }) => {
      for (const seen of everySeen(history)) if (seen.revision >= 9 && seen.key === TWO) seen.uid = 'another'
      ;(
        history.operations.find(({ outcome, request }) => outcome.kind === 'deleted' && request.key === TWO)!
          .outcome as { uid: string }
      ).uid = 'another'
    },
  ],
  [
    'an object is deleted twice',
    'life',
    ({ all }) => {
      const event = (all.entries as Events)[5]!
      all.entries.push({ ...event, at: 1500, object: { ...event.object, revision: 12 } })
    },
  ],
  ['a list leaves an object out', 'list', ({ paged }) => void paged.pages[0]!.objects.splice(0, 1)],
  [
    'a list has an object twice',
    'list',
    ({ paged }) => void paged.pages[1]!.objects.unshift(paged.pages[0]!.objects[1]!),
  ],
  [
    'a list shows an object as it was later',
    'list',
    ({ exact, writes }) => {
      exact.pages[0]!.objects[1] = (writes[4]!.outcome as { object: Seen }).object
    },
  ],
  [
    'a list has what was deleted by then',
    'list',
    ({ paged, exact, history }) => {
      const stale = {
        ...exact,
        asked: { ...exact.asked, exact: 7 },
        pages: [{ ...paged.pages[0]!, revision: 7, objects: paged.pages.flatMap(({ objects }) => objects) }],
      }
      stale.asked.limit = 0
      history.listings.push(stale)
    },
  ],
  [
    'a later page is of a later revision',
    'list',
    ({ paged }) => {
      paged.pages[1]!.revision = 7
    },
  ],
  [
    'a page is longer than asked',
    'list',
    ({ paged }) => {
      paged.asked.limit = 1
    },
  ],
  [
    'another revision comes than was asked for',
    'list',
    ({ exact }) => {
      exact.asked.exact = 6
    },
  ],
  [
    'a list is of a revision that was not yet',
    'rising',
    ({ paged }) => {
      for (const page of paged.pages) page.revision = 8
    },
  ],
  [
    'a continue token expires too soon',
    'kept',
    ({ paged }) => {
      paged.pages.pop()
      paged.outcome = 'expired'
    },
  ],
  [
    'a watch expires too soon',
    'kept',
    ({ all }) => {
      all.entries.splice(3, Infinity, { type: 'ERROR', at: 900, code: 410, reason: 'Expired' })
    },
  ],
  ['two events come the wrong way round', 'ordered', ({ all }) => swap(all, 3)],
  ['an event comes twice', 'unique', ({ all }) => void all.entries.splice(4, 0, all.entries[3]!)],
  [
    'two objects change at one revision',
    'atomic',
    ({ left, all }) => {
      const event = structuredClone((all.entries as Events)[6]!)
      event.object = { ...event.object, key: 'records/b/two', uid: 'other' }
      event.type = 'DELETED'
      left.entries.splice(
        left.entries.findIndex((entry) => 'object' in entry && entry.object.revision === 8) + 1,
        0,
        event,
      )
    },
  ],
  ['an event is skipped', 'reliable', ({ all }) => void all.entries.splice(4, 1)],
  [
    'the last event is skipped',
    'reliable',
    ({ all }) => {
      all.entries.pop()
      all.until = 11
    },
  ],
  ['the first event after its revision is skipped', 'resumable', ({ left }) => void left.entries.shift()],
  [
    'an event before its revision is told',
    'resumable',
    ({ all }) => {
      all.from = { revision: 2 }
    },
  ],
  [
    'a bookmark overtakes an event',
    'bookmarkable',
    ({ all }) => {
      all.entries.splice(4, 0, { type: 'BOOKMARK', at: 550, revision: 6, endsInitial: false })
    },
  ],
  [
    'a bookmark goes back',
    'bookmarkable',
    ({ all }) => {
      all.entries.splice(4, 0, { type: 'BOOKMARK', at: 550, revision: 4, endsInitial: false })
    },
  ],
  ['an event of another object comes', 'filter', ({ left, all }) => void left.entries.splice(1, 0, all.entries[1]!)],
  [
    'a departure is told as a change',
    'filter',
    ({ left }) => {
      const departure = left.entries.find(({ type }) => type === 'DELETED') as Events[number]
      departure.type = 'MODIFIED'
      departure.object.content = content('w5', 'right', 'red')
    },
  ],
  [
    'a departure is not told',
    'reliable',
    ({ left }) =>
      void left.entries.splice(
        left.entries.findIndex(({ type }) => type === 'DELETED'),
        1,
      ),
  ],
  [
    'an arrival is told as a change',
    'isCreate',
    ({ left }) => {
      const arrival = left.entries.findLast(({ type }) => type === 'ADDED') as Events[number]
      arrival.type = 'MODIFIED'
    },
  ],
  [
    'a creation is told as a change',
    'isCreate',
    ({ all }) => {
      ;(all.entries as Events)[6]!.type = 'MODIFIED'
    },
  ],
  [
    'a departure carries the state that does not match',
    'prevState',
    ({ left }) => {
      const departure = left.entries.find(({ type }) => type === 'DELETED') as Events[number]
      departure.object.content = content('w5', 'right', 'red')
    },
  ],
  [
    'a deletion carries a state before the last',
    'prevState',
    ({ all }) => {
      ;(all.entries as Events)[9]!.object.content = content('w6', 'left', 'blue')
    },
  ],
  [
    'a deletion carries the revision of the last state',
    'one revision, one change',
    ({ all }) => {
      ;(all.entries as Events)[9]!.object.revision = 9
    },
  ],
  ['what it begins with lacks an object', 'initial', ({ red }) => void red.entries.shift()],
  [
    'what it begins with lacks an object, though its end is told',
    'initial',
    ({ marked }) => void marked.entries.shift(),
  ],
  [
    'what it begins with has a state from before',
    'initial',
    ({ red, writes }) => {
      ;(red.entries as Events)[0]!.object = (writes[0]!.outcome as { object: Seen }).object
    },
  ],
  [
    'what comes after what it began with is skipped',
    'reliable',
    ({ marked }) => {
      // The end of what was there is told, and then the change right after it is missing.
      marked.entries.splice(marked.entries.findIndex(({ type }) => type === 'BOOKMARK') + 1, 1)
    },
  ],
]

describe('the checker', () => {
  test('finds nothing in a history that keeps every law', () => {
    expect(checkHistory(correctHistory().history)).toEqual([])
  })

  test.each(BREAKS)('finds it when %s (%s)', (_what, law, change) => {
    const parts = correctHistory()
    change(parts as Writable<Parts>)
    const found = checkHistory(parts.history)
    expect(found.map((violation) => violation.law)).toContain(law)
    expect(found.every(({ message, evidence }) => message !== '' && evidence.length > 0)).toBe(true)
  })

  test('knows a break of every law', () => {
    const laws: Record<Law, true> = {
      linearizable: true,
      'refused is refused': true,
      'one revision, one change': true,
      rising: true,
      fresh: true,
      life: true,
      list: true,
      kept: true,
      ordered: true,
      unique: true,
      reliable: true,
      resumable: true,
      bookmarkable: true,
      filter: true,
      isCreate: true,
      prevState: true,
      atomic: true,
      initial: true,
    }
    expect(new Set(BREAKS.map(([, law]) => law))).toEqual(new Set(Object.keys(laws)))
  })
})

function drop(history: Writable<History>, ...what: unknown[]): void {
  const value = JSON.stringify(what[1])
  history.operations = history.operations.filter((operation) => JSON.stringify(operation) !== value)
  for (const watch of history.watchings)
    watch.entries = watch.entries.filter((entry) => !('object' in entry) || entry.object.revision !== what[0])
}

function swap(watch: Writable<Watching>, index: number): void {
  const [one, other] = watch.entries.slice(index, index + 2)
  watch.entries.splice(index, 2, other!, one!)
}

function* everySeen({ operations, listings, watchings }: Writable<History>): Generator<Writable<Seen>> {
  for (const { outcome } of operations) if (outcome.kind === 'seen') yield outcome.object
  for (const { pages } of listings) for (const { objects } of pages) yield* objects
  for (const { entries } of watchings) for (const entry of entries) if ('object' in entry) yield entry.object
}

/** The same history with other revisions, the events of watches in their order. */
function renumber(history: Writable<History>, revisions: ReadonlyMap<number, number>): void {
  for (const seen of everySeen(history)) seen.revision = revisions.get(seen.revision) ?? seen.revision
  for (const { request } of history.operations)
    if ('revision' in request && request.revision !== undefined)
      request.revision = revisions.get(request.revision) ?? request.revision
}
