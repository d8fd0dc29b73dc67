/** The events of a watch, as a server writes them and as the history has them. */
import type { WatchEntry } from './history.ts'
import { type Kind, seenOf, type WireObject } from './kinds.ts'

export interface WireEvent {
  type: WatchEntry['type']
  object: WireObject & { code: number; reason: string; metadata: { annotations?: Record<string, string> } }
}

export function entryOf({ type, object }: WireEvent, { resource }: Kind, at: number): WatchEntry {
  if (type === 'ERROR') return { type, at, code: object.code, reason: object.reason }
  if (type !== 'BOOKMARK') return { type, at, object: seenOf(resource, object) }
  const endsInitial = object.metadata.annotations?.['k8s.io/initial-events-end'] === 'true'
  return { type, at, revision: Number(object.metadata.resourceVersion), endsInitial }
}
