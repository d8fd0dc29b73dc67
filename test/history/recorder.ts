/** What the clients of a run share: the history that they write, the clock they write it by, and whether to go on. */
import type { Endpoint } from './connection.ts'
import type { Listing, Operation, Watching } from './history.ts'

export interface Recorder {
  endpoint: Endpoint
  operations: Operation[]
  listings: Listing[]
  watchings: Watching[]
  /** ms, monotonic. */
  now(): number
  /** The run is over. */
  stopped: AbortSignal
  /** Resolves while the server answers. */
  serving(): Promise<void>
  /** Of the objects as they were last seen, by key; 0 where they were gone. */
  known: Map<string, number>
  /** The highest revision that was seen. */
  newest: number
  /** Told of each answer, so that a fault can wait for what it causes. */
  onOutcome: Set<(operation: Operation) => void>
  /** Something was answered that no law has a place for. */
  unexpected(what: string): void
}

export function noteRevision(recorder: Recorder, revision: number): void {
  if (revision > recorder.newest) recorder.newest = revision
}
