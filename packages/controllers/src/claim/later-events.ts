/** Events while claims are worked on: each costs the API server as much as what it tells of, and nobody waits for it. */
import type { AnyObject } from '@caisson/client'
import type { PlannedEvent } from '../engine/plan.ts'
import { isPoolMember } from '../sandbox/objects.ts'
import { type ComingClaims, createAfterClaims } from './after-claims.ts'

/** Of all that is done for a claim events can wait longest, ms. */
const LONGEST_WAIT = 15_000

/** Records an event about an object; `component` is who says it. */
export type RecordEvents = (component: string, about: AnyObject, event: PlannedEvent) => void

/** Disposing it passes on at once what waits. */
export interface LaterEvents extends AsyncDisposable {
  record: RecordEvents
  /** Resolves when none waits any more. */
  settled(): Promise<void>
}

export interface LaterEventsOptions {
  /** How claims come, and when nothing else is left to do after them either. */
  claims: ComingClaims
  record: RecordEvents
  /** ms since the epoch. */
  now(): number
}

/**
 * Passes an event on, with the time at which it was said, when claims have paused, and events about one object in the order
 * in which they were said. That members of a pool come up is what the pool's status says.
 */
export function createLaterEvents({ claims, record, now }: LaterEventsOptions): LaterEvents {
  const waiting = createAfterClaims<Parameters<RecordEvents>>({
    settled: (signal) => claims.settled(signal),
    longest: LONGEST_WAIT,
    pass: (said) => record(...said),
  })
  const waitsAbout = ({ metadata: { uid } }: AnyObject): boolean =>
    waiting.some(([, { metadata }]) => metadata.uid === uid)
  return {
    record(component, about, event) {
      if (event.type === 'Normal' && isPoolMember(about)) return
      if (claims.coming() || isPoolMember(about) || waitsAbout(about))
        waiting.add([component, about, { ...event, at: now() }])
      else record(component, about, event)
    },
    settled: () => waiting.settled(),
    [Symbol.asyncDispose]: () => waiting[Symbol.asyncDispose](),
  }
}
