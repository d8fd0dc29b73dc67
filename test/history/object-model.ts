/** What one object may do, as a sequential model: which states may follow a request that was answered like this. */
import type { Content, Operation, Outcome, Request, Seen } from './history.ts'
import type { Call } from './linearizability.ts'

export interface ObjectState {
  /** Whatever comes next is of a higher revision. */
  floor: number
  /** Undefined where there is none. */
  object: Known | undefined
}

interface Known {
  /** Undefined of an object that nobody was ever shown. */
  uid: string | undefined
  revision: number | undefined
  content: Content
}

export const ABSENT: ObjectState = { floor: 0, object: undefined }

/** What became of a write that was not answered, where somebody was shown it later. */
export interface Resolution {
  at: number
  object: Seen
}

export interface ModelOptions {
  /** By value: writes that turned out to have happened. */
  resolved: ReadonlyMap<string, Resolution>
  /** When the server that a call went to had ended for certain. */
  lastMoment(operation: Operation): number
}

/** The operation as a call; undefined where it says nothing. */
export function callOf(operation: Operation, { resolved, lastMoment }: ModelOptions): Call<ObjectState> | undefined {
  const { request, outcome, began, ended } = operation
  if (outcome.kind === 'nothing') return undefined
  if (outcome.kind !== 'unknown') return { began, ended, step: (state) => answered(state, request, outcome) }
  if (request.verb === 'get') return undefined
  const resolution = 'content' in request ? resolved.get(request.content.value) : undefined
  if (resolution) {
    const seen: Outcome = { kind: 'seen', object: resolution.object }
    return { began, ended: Math.max(began, resolution.at), step: (state) => answered(state, request, seen) }
  }
  return { began, ended: lastMoment(operation), step: (state) => [state, ...unseen(state, request)] }
}

function answered(
  state: ObjectState,
  request: Request,
  outcome: Exclude<Outcome, { kind: 'unknown' | 'nothing' }>,
): ObjectState[] {
  const { object } = state
  const expected = 'revision' in request ? request.revision : undefined
  if (outcome.kind === 'refused') {
    if (outcome.reason === 'NotFound') return object ? [] : [state]
    if (outcome.reason === 'AlreadyExists') return object && request.verb === 'create' ? [state] : []
    return object && expected !== undefined && object.revision !== expected ? [state] : []
  }
  if (outcome.kind === 'deleted') {
    if (!object || !meets(object, expected) || !agrees(object.uid, outcome.uid)) return []
    return [{ floor: state.floor, object: undefined }]
  }
  const { uid, revision, content } = outcome.object
  if (request.verb === 'get')
    return object && object.revision === revision && object.uid === uid && sameContent(object.content, content)
      ? [state]
      : []
  if (revision <= state.floor || !meets(object, expected)) return []
  const next = contentAfter(object, request)
  if (!next || !sameContent(next, content) || (object && !agrees(object.uid, uid))) return []
  return [{ floor: revision, object: { uid, revision, content } }]
}

/** It happened, and nobody was shown it. */
function unseen({ floor, object }: ObjectState, request: Request): ObjectState[] {
  if ('revision' in request && !meets(object, request.revision)) return []
  if (request.verb === 'delete') return object ? [{ floor, object: undefined }] : []
  const content = contentAfter(object, request)
  return content ? [{ floor, object: { uid: object?.uid, revision: undefined, content } }] : []
}

/** Undefined where the request has to be refused. */
function contentAfter(object: Known | undefined, request: Request): Content | undefined {
  switch (request.verb) {
    case 'create':
      return object ? undefined : request.content
    case 'update':
      return object && request.content
    case 'patch':
      return object && { ...object.content, ...request.content }
    default:
      return undefined
  }
}

/** Nobody knows the revision of what nobody was shown: a condition on one cannot have been met by it. */
function meets(object: Known | undefined, revision: number | undefined): boolean {
  return revision === undefined || object?.revision === revision
}

function agrees(known: string | undefined, shown: string): boolean {
  return known === undefined || known === shown
}

export function sameContent(a: Content, b: Content): boolean {
  return a.value === b.value && a.side === b.side && a.colour === b.colour
}
