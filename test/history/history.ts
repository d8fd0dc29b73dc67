/**
 * What was asked of a server and what it said: all that the laws are checked against. Times are of one monotonic clock,
 * ms; what was never answered ends at Infinity. Everything is plain JSON but for that.
 */

/** What every write changes: `value` is never written twice, so a state tells which write made it. */
export interface Content {
  value: string
  /** The label; empty where there is none. */
  side: string
  /** The field that can be selected by. */
  colour: string
}

/** An object as somebody was shown it. */
export interface Seen {
  /** `resource/namespace/name` */
  key: string
  uid: string
  revision: number
  content: Content
}

export type WriteVerb = 'create' | 'update' | 'patch' | 'delete'

export type Request =
  | { verb: 'create'; key: string; content: Content }
  /** `revision`: refused unless the object is of that revision. */
  | { verb: 'update'; key: string; content: Content; revision: number | undefined }
  /** Fields that are left out stay as they are. */
  | { verb: 'patch'; key: string; content: Partial<Content> & { value: string }; revision: number | undefined }
  | { verb: 'delete'; key: string; revision: number | undefined }
  | { verb: 'get'; key: string }

export type Outcome =
  | { kind: 'seen'; object: Seen }
  | { kind: 'deleted'; uid: string }
  | { kind: 'refused'; reason: 'AlreadyExists' | 'NotFound' | 'Conflict' }
  /** The server says that it did nothing (a full disk, too many requests). */
  | { kind: 'nothing'; reason: string }
  /** It may have happened, or not, or happen later while the server lives. */
  | { kind: 'unknown'; reason: string }

export interface Operation {
  client: string
  began: number
  ended: number
  request: Request
  outcome: Outcome
}

/** Which objects of a resource a list or a watch asks for. */
export interface Selection {
  /** Undefined for all. */
  namespace: string | undefined
  name: string | undefined
  /** By label. */
  side: { operator: 'in' | 'notin' | 'exists' | 'absent'; values: readonly string[] } | undefined
  /** By field. */
  colour: { equal: boolean; value: string } | undefined
}

export interface Page {
  began: number
  ended: number
  revision: number
  objects: readonly Seen[]
  more: boolean
}

/** A list, in one page or several. */
export interface Listing {
  client: string
  resource: string
  selection: Selection
  /** `exact`: the state at that revision was asked for. `atLeast`: one that is not older. */
  asked: { exact: number | undefined; atLeast: number | undefined; limit: number }
  /** Only what comes after this key: it goes on, at the present, where another list had expired. */
  after: string | undefined
  began: number
  ended: number
  pages: readonly Page[]
  outcome: 'complete' | 'expired' | 'unknown'
}

export type WatchEntry =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; at: number; object: Seen }
  | { type: 'BOOKMARK'; at: number; revision: number; endsInitial: boolean }
  | { type: 'ERROR'; at: number; code: number; reason: string }

export interface Watching {
  client: string
  resource: string
  selection: Selection
  /** A revision to go on from, or what there is first; `marked` where the end of that is told. */
  from: { revision: number } | { initial: true; marked: boolean }
  began: number
  ended: number
  entries: readonly WatchEntry[]
  /** Who ended it: `lost` is a connection that broke, `refused` an answer that was none. */
  end: 'client' | 'server' | 'lost' | 'refused'
  /** It had to be told of everything: nobody disturbed it and it was read to the end. */
  until: number | undefined
}

export interface History {
  operations: readonly Operation[]
  listings: readonly Listing[]
  watchings: readonly Watching[]
  /** When a server ended, and when the next one answered. */
  restarts: readonly { at: number; until: number; why: string }[]
  /** So many events of each resource stay watchable while the server lives. */
  window: number
}

/** A law that does not hold, with what shows it. */
export interface Violation {
  law: Law
  message: string
  /** The shortest part of the history that shows it, a line each, in the order of time or of revisions. */
  evidence: readonly string[]
}

export type Law =
  /** Each object alone: some order of the operations that overlap explains every answer. */
  | 'linearizable'
  /** What is refused or not done is never seen. */
  | 'refused is refused'
  /** Two changes never have one revision, one write never two. */
  | 'one revision, one change'
  /** What is asked for later has the higher revision, across restarts, deletes and compaction. */
  | 'rising'
  /** Nobody who asks later is shown an older state. */
  | 'fresh'
  /** An object is created once, changes, is deleted once. */
  | 'life'
  /** A list is the state at its revision, in however many pages. */
  | 'list'
  /** Nothing that is within the window has expired. */
  | 'kept'
  /** The nine laws of etcd's watch. */
  | 'ordered'
  | 'unique'
  | 'reliable'
  | 'resumable'
  | 'bookmarkable'
  | 'filter'
  | 'isCreate'
  | 'prevState'
  | 'atomic'
  /** What is there when a watch begins is the state at one revision. */
  | 'initial'

export function selected({ namespace, name, side, colour }: Selection, key: string, content: Content): boolean {
  const [, ownNamespace, ownName] = key.split('/')
  if (namespace !== undefined && namespace !== ownNamespace) return false
  if (name !== undefined && name !== ownName) return false
  if (colour && (content.colour === colour.value) !== colour.equal) return false
  return !side || matchesSide(side, content.side)
}

function matchesSide({ operator, values }: NonNullable<Selection['side']>, side: string): boolean {
  if (operator === 'exists') return side !== ''
  if (operator === 'absent') return side === ''
  return values.includes(side) === (operator === 'in')
}

export function resourceOf(key: string): string {
  return key.slice(0, key.indexOf('/'))
}

export function describeContent({ value, side, colour }: Partial<Content>): string {
  return [value, side && `side=${side}`, colour && `colour=${colour}`].filter(Boolean).join(' ')
}

export function describeSeen({ key, uid, revision, content }: Seen): string {
  return `${key} at ${revision} (${describeContent(content)}, uid ${uid.slice(0, 8)})`
}

export function describeOperation({ client, began, ended, request, outcome }: Operation): string {
  const what = 'content' in request ? ` ${describeContent(request.content)}` : ''
  const condition = 'revision' in request && request.revision !== undefined ? ` if at ${request.revision}` : ''
  return `${began.toFixed(1)}-${ended.toFixed(1)} ${client}: ${request.verb} ${request.key}${what}${condition}: ${describeOutcome(outcome)}`
}

function describeOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'seen':
      return describeSeen(outcome.object)
    case 'deleted':
      return `deleted uid ${outcome.uid.slice(0, 8)}`
    default:
      return `${outcome.kind} (${outcome.reason})`
  }
}

export function describeSelection(resource: string, { namespace, name, side, colour }: Selection): string {
  return [
    resource,
    namespace && `in ${namespace}`,
    name && `named ${name}`,
    side && `side ${side.operator} (${side.values.join(',')})`,
    colour && `colour ${colour.equal ? '=' : '!='} ${colour.value}`,
  ]
    .filter(Boolean)
    .join(' ')
}
