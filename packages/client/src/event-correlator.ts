/**
 * What becomes of an event: a new one, one more of an earlier one, one for many that are alike, or none. The rules and
 * figures are client-go's.
 */
import type { Event } from 'kubernetes-types/core/v1.d.ts'
import type { Typed } from './resource.ts'

export type EventObject = Typed<Event>

interface EventPlan {
  event: EventObject
  /** Merge patch of the Event that is there already; undefined where a new one has to be made. */
  patch: object | undefined
  /** For `written`. */
  key: string
}

export interface EventCorrelator {
  /** Undefined: the source has said too much about this object. */
  plan(event: EventObject, now: number): EventPlan | undefined
  /** What the server made of it. */
  written(key: string, event: EventObject): void
}

/** After so many different messages that are otherwise alike, within this time, the next ones are combined. */
const SIMILAR_LIMIT = 10
const SIMILAR_MS = 600_000
/** One source may say 25 things about one object, and one more each five minutes. */
const BURST = 25
const REFILL_MS = 300_000
const CACHE_LIMIT = 4096

interface Similar {
  messages: Set<string>
  lastAt: number
}

interface Bucket {
  tokens: number
  at: number
}

export function createEventCorrelator(): EventCorrelator {
  const similar = createRecent<Similar>()
  const written = createRecent<EventObject>()
  const buckets = createRecent<Bucket>()

  function combined(event: EventObject, now: number): { event: EventObject; key: string } {
    const group = keyOf(event, ['type', 'reason', 'reportingComponent', 'reportingInstance'])
    const message = event.message ?? ''
    const known = similar.get(group)
    const seen = known && now - known.lastAt <= SIMILAR_MS ? known : { messages: new Set<string>(), lastAt: now }
    seen.messages.add(message)
    seen.lastAt = now
    similar.set(group, seen)
    if (seen.messages.size < SIMILAR_LIMIT) {
      return { event, key: keyOf(event, ['type', 'reason', 'message', 'reportingComponent', 'reportingInstance']) }
    }
    // The set stays full, and does not grow.
    for (const oldest of seen.messages) {
      seen.messages.delete(oldest)
      break
    }
    return { event: { ...event, message: `(combined from similar events): ${message}` }, key: `combined ${group}` }
  }

  function isTooMuch(event: EventObject, now: number): boolean {
    const source = keyOf(event, [])
    const bucket = buckets.get(source) ?? { tokens: BURST, at: now }
    const tokens = Math.min(BURST, bucket.tokens + Math.max(0, now - bucket.at) / REFILL_MS)
    const spent = tokens >= 1 ? tokens - 1 : tokens
    buckets.set(source, { tokens: spent, at: now })
    return tokens < 1
  }

  return {
    plan(given, now) {
      const { event, key } = combined(given, now)
      const before = written.get(key)
      const plan: EventPlan = before
        ? {
            key,
            patch: {
              count: (before.count ?? 1) + 1,
              lastTimestamp: event.lastTimestamp,
              ...(before.message !== event.message && { message: event.message }),
            },
            event: {
              ...event,
              metadata: {
                ...event.metadata,
                ...(before.metadata.name !== undefined && { name: before.metadata.name }),
              },
              count: (before.count ?? 1) + 1,
              ...(before.firstTimestamp !== undefined && { firstTimestamp: before.firstTimestamp }),
            },
          }
        : { key, event, patch: undefined }
      if (isTooMuch(event, now)) return undefined
      // Counted even where it cannot be written.
      written.set(key, plan.event)
      return plan
    },
    written(key, event) {
      written.set(key, event)
    },
  }
}

function keyOf(event: EventObject, fields: readonly (keyof EventObject)[]): string {
  const { apiVersion, kind, namespace, name, uid } = event.involvedObject
  const { component, host } = event.source ?? {}
  return JSON.stringify([
    component,
    host,
    apiVersion,
    kind,
    namespace,
    name,
    uid,
    ...fields.map((field) => event[field]),
  ])
}

interface Recent<V> {
  get(key: string): V | undefined
  set(key: string, value: V): void
}

/** A map that forgets what was used least recently. */
function createRecent<V>(): Recent<V> {
  const values = new Map<string, V>()
  function set(key: string, value: V): void {
    values.delete(key)
    values.set(key, value)
    if (values.size <= CACHE_LIMIT) return
    for (const oldest of values.keys()) {
      values.delete(oldest)
      return
    }
  }
  return {
    get(key) {
      const value = values.get(key)
      if (value !== undefined) set(key, value)
      return value
    },
    set,
  }
}
