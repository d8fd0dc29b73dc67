/**
 * Every change that anybody was shown, in the order of revisions: what the server must have done. Built from the answers
 * to writes and reads and from the events of all watches, which have to agree.
 */
import { describeSeen, type History, type Operation, resourceOf, type Seen, type Violation } from './history.ts'
import type { Resolution } from './object-model.ts'
import { createTimeline, firstIndex, type Sighting, type Timeline } from './timeline.ts'

export interface Change {
  /** Of a deletion that nobody was shown: half a step after the last state. */
  revision: number
  key: string
  uid: string
  /** Undefined: the object was deleted. */
  object: Seen | undefined
  /** The state before; undefined where there was none. */
  previous: Seen | undefined
}

export interface ChangeLog {
  /** By resource, in the order of revisions. */
  changes: ReadonlyMap<string, readonly Change[]>
  byRevision: ReadonlyMap<number, Change>
  /** By value: writes that went unanswered and were seen. */
  resolved: ReadonlyMap<string, Resolution>
  timeline: Timeline
  /** Whether somebody watched all of the resource when it was at that revision: then nothing is missing here. */
  isCovered(resource: string, revision: number): boolean
  /** Whether something may have happened to the object that nobody was shown. */
  isCloudy(key: string, revision: number): boolean
  violations: readonly Violation[]
}

/** One showing of a change. */
interface Showing extends Sighting {
  object: Seen
  deleted: boolean
}

export function createChangeLog(history: History): ChangeLog {
  const violations: Violation[] = []
  const showings = showingsOf(history)
  const puts = new Map<number, Showing>()
  const deletions = new Map<number, Showing>()
  const revisionOfValue = new Map<string, Showing>()
  const resolved = new Map<string, Resolution>()
  for (const showing of showings) {
    const { object, revision, deleted } = showing
    if (deleted) {
      deletions.set(revision, showing)
      continue
    }
    const known = puts.get(revision)
    if (known && describeAll(known.object) !== describeAll(object))
      violations.push(twice(`revision ${revision} was shown as two changes`, known, showing))
    const same = revisionOfValue.get(`${object.key} ${object.content.value}`)
    if (same && same.revision !== revision)
      violations.push(twice(`one write got two revisions, ${same.revision} and ${revision}`, same, showing))
    if (!known) puts.set(revision, showing)
    revisionOfValue.set(`${object.key} ${object.content.value}`, showing)
    const resolution = resolved.get(object.content.value)
    if (!resolution || showing.at < resolution.at) resolved.set(object.content.value, { at: showing.at, object })
  }
  for (const [revision, showing] of deletions) {
    const put = puts.get(revision)
    if (put) violations.push(twice(`revision ${revision} was shown as two changes`, put, showing))
  }

  const timeline = createTimeline(
    [...showings, ...bareRevisions(history)],
    history.operations.flatMap(({ began, request, outcome }) => {
      if (outcome.kind === 'seen' && request.verb !== 'get') return [{ at: began, revision: outcome.object.revision }]
      const resolution = 'content' in request ? resolved.get(request.content.value) : undefined
      return resolution ? [{ at: began, revision: resolution.object.revision }] : []
    }),
  )
  const isCovered = coverage(history)
  const doubtful = doubtfulKeys(history, resolved, deletions)
  const isCloudy = (key: string, revision: number): boolean =>
    doubtful.has(key) && !isCovered(resourceOf(key), revision)
  const byRevision = new Map<number, Change>()
  const changes = new Map<string, Change[]>()
  const lives = livesOf([...puts.values(), ...deletions.values()])
  for (const [key, life] of lives) {
    const doubts = deletesOf(history, key)
    for (const change of chain(key, withUnseenDeletions(life, doubts, { history, timeline }), {
      violations,
      isCloudy,
    })) {
      byRevision.set(change.revision, change)
      const resource = resourceOf(key)
      if (!changes.has(resource)) changes.set(resource, [])
      changes.get(resource)?.push(change)
    }
  }
  for (const list of changes.values()) list.sort((a, b) => a.revision - b.revision)
  return { changes, byRevision, resolved, timeline, isCovered, isCloudy, violations }
}

/** The state of the objects of a resource at a revision, by key. */
export function stateAt(log: ChangeLog, resource: string, revision: number): Map<string, Seen> {
  const state = new Map<string, Seen>()
  for (const change of log.changes.get(resource) ?? []) {
    if (change.revision > revision) break
    if (change.object) state.set(change.key, change.object)
    else state.delete(change.key)
  }
  return state
}

/** The changes of a resource after a revision. */
export function changesAfter(log: ChangeLog, resource: string, revision: number): readonly Change[] {
  const all = log.changes.get(resource) ?? []
  return all.slice(firstIndex(all.length, (index) => (all[index] as Change).revision > revision))
}

function describeAll(object: Seen): string {
  return `${describeSeen(object)} ${object.uid}`
}

function twice(message: string, one: Showing, other: Showing): Violation {
  const line = ({ at, object, deleted }: Showing) =>
    `${at.toFixed(1)} ${deleted ? 'deleted ' : ''}${describeAll(object)}`
  return { law: 'one revision, one change', message, evidence: [line(one), line(other)] }
}

function showingsOf({ operations, listings, watchings }: History): Showing[] {
  const showings: Showing[] = []
  const put = (at: number, object: Seen) =>
    void showings.push({ at, revision: object.revision, object, deleted: false })
  for (const { ended, outcome } of operations) if (outcome.kind === 'seen') put(ended, outcome.object)
  for (const { pages } of listings) for (const { ended, objects } of pages) for (const each of objects) put(ended, each)
  for (const { entries } of watchings)
    for (const entry of entries) if (entry.type === 'ADDED' || entry.type === 'MODIFIED') put(entry.at, entry.object)
  const lastOf = new Map<string, number>()
  for (const { object } of showings) lastOf.set(object.uid, Math.max(lastOf.get(object.uid) ?? 0, object.revision))
  const puts = new Set(showings.map(({ revision }) => revision))
  for (const { selection, entries } of watchings) {
    const narrowed = selection.side !== undefined || selection.colour !== undefined
    for (const entry of entries) {
      if (entry.type !== 'DELETED') continue
      const { at, object } = entry
      // To a watch with a selector, what stops matching is gone too.
      const departed = narrowed && (puts.has(object.revision) || (lastOf.get(object.uid) ?? 0) > object.revision)
      if (!departed) showings.push({ at, revision: object.revision, object, deleted: true })
    }
  }
  return showings
}

/** Revisions that were told without an object. */
function bareRevisions({ listings, watchings }: History): Sighting[] {
  return [
    ...listings.flatMap(({ pages }) => pages.map(({ ended, revision }) => ({ at: ended, revision }))),
    ...watchings.flatMap(({ entries }) =>
      entries.flatMap((entry) =>
        entry.type === 'BOOKMARK'
          ? [{ at: entry.at, revision: entry.revision }]
          : entry.type === 'DELETED'
            ? [{ at: entry.at, revision: entry.object.revision }]
            : [],
      ),
    ),
  ]
}

/** Between which revisions somebody watched all of a resource. */
function coverage({ watchings }: History): (resource: string, revision: number) => boolean {
  const ranges = new Map<string, { from: number; to: number }[]>()
  for (const { resource, selection, from, entries } of watchings) {
    const { namespace, name, side, colour } = selection
    if (!('revision' in from) || (namespace ?? name ?? side ?? colour) !== undefined) continue
    let to = from.revision
    for (const entry of entries) {
      if (entry.type === 'BOOKMARK') to = Math.max(to, entry.revision)
      else if (entry.type !== 'ERROR') to = Math.max(to, entry.object.revision)
    }
    if (!ranges.has(resource)) ranges.set(resource, [])
    ranges.get(resource)?.push({ from: from.revision, to })
  }
  return (resource, revision) => (ranges.get(resource) ?? []).some(({ from, to }) => from < revision && revision <= to)
}

function deletesOf({ operations }: History, key: string): Operation[] {
  return operations.filter(
    ({ request, outcome }) =>
      request.verb === 'delete' && request.key === key && (outcome.kind === 'unknown' || outcome.kind === 'deleted'),
  )
}

/** Objects with writes of which nobody can tell whether or when they happened. */
function doubtfulKeys(
  { operations }: History,
  resolved: ReadonlyMap<string, Resolution>,
  deletions: ReadonlyMap<number, Showing>,
): Set<string> {
  const seen = new Set([...deletions.values()].map(({ object }) => object.uid))
  const keys = new Set<string>()
  for (const { request, outcome } of operations) {
    if (outcome.kind === 'deleted' && !seen.has(outcome.uid)) keys.add(request.key)
    if (outcome.kind !== 'unknown' || request.verb === 'get') continue
    if (!('content' in request) || !resolved.has(request.content.value)) keys.add(request.key)
  }
  return keys
}

function livesOf(showings: readonly Showing[]): Map<string, Showing[]> {
  const lives = new Map<string, Showing[]>()
  for (const showing of showings) {
    const { key } = showing.object
    if (!lives.has(key)) lives.set(key, [])
    lives.get(key)?.push(showing)
  }
  for (const life of lives.values()) life.sort((a, b) => a.revision - b.revision)
  return lives
}

/** With the deletions that nobody was shown (the server died before it could tell), where a delete explains them. */
function withUnseenDeletions(
  life: readonly Showing[],
  deletes: readonly Operation[],
  { history, timeline }: { history: History; timeline: Timeline },
): Showing[] {
  const whole: Showing[] = []
  for (const [index, showing] of life.entries()) {
    whole.push(showing)
    const { object, deleted } = showing
    const next = life[index + 1]
    if (deleted || (next && next.object.uid === object.uid)) continue
    const { key, uid } = object
    const told = deletes.find(({ outcome }) => outcome.kind === 'deleted' && outcome.uid === uid)
    const doubtful = deletes.find(({ outcome, ended }) => outcome.kind === 'unknown' && ended >= showing.at)
    const missed = history.listings.some(
      ({ resource, selection, pages, outcome }) =>
        outcome === 'complete' &&
        resource === resourceOf(key) &&
        (selection.namespace ?? selection.name ?? selection.side ?? selection.colour) === undefined &&
        pages.some((page) => page.revision >= object.revision && (!next || page.revision < next.revision)) &&
        !pages.some((page) => page.objects.some((each) => each.uid === uid)),
    )
    const explained = told ?? (next || missed ? doubtful : undefined)
    if (!explained) continue
    const last = lastSeenAt(history, uid)
    const revision = Math.max(
      object.revision,
      last,
      Math.min(timeline.floor(explained.began), next ? next.revision - 1 : Infinity),
    )
    whole.push({ at: explained.ended, revision: revision + 0.5, object, deleted: true })
  }
  return whole
}

/** The highest revision at which a list had the object. */
function lastSeenAt({ listings }: History, uid: string): number {
  let last = 0
  for (const { pages } of listings)
    for (const { revision, objects } of pages)
      if (revision > last && objects.some((object) => object.uid === uid)) last = revision
  return last
}

function chain(
  key: string,
  life: readonly Showing[],
  { violations, isCloudy }: { violations: Violation[]; isCloudy(key: string, revision: number): boolean },
): Change[] {
  const changes: Change[] = []
  let previous: Seen | undefined
  for (const { revision, object, deleted } of life) {
    const evidence = [
      previous ? `before: ${describeSeen(previous)}` : `before: there is no ${key}`,
      `then: ${deleted ? 'deleted ' : ''}${describeSeen(object)} at ${revision}`,
    ]
    if (previous && previous.uid !== object.uid && !isCloudy(key, revision))
      violations.push({
        law: 'life',
        message: `${key} became another object at ${revision} and nobody deleted it`,
        evidence,
      })
    if (!previous && deleted && !isCloudy(key, revision))
      violations.push({ law: 'life', message: `${key} was deleted at ${revision} and was not there`, evidence })
    changes.push({ revision, key, uid: object.uid, object: deleted ? undefined : object, previous })
    previous = deleted ? undefined : object
  }
  return changes
}
