/** The status of a flat object: that of its canonical one, and whether both say the same. */
import { type Agreement, type Condition, type ConditionState, findCondition, mergeConditions } from '@caisson/api'
import type { CanonicalObject, Dialect, FlatObject } from './dialect.ts'

export interface FlatStatus {
  conditions?: unknown[]
  canonical?: Agreement
  canonicalTemplate?: Agreement
  [field: string]: unknown
}

export interface FlatStatusOptions {
  /** Whose status is mirrored. */
  main: CanonicalObject | undefined
  agreements: Pick<FlatStatus, 'canonical' | 'canonicalTemplate'>
  translated: ConditionState
  /** ms since the epoch. */
  now: number
}

export function flatStatus<F extends FlatObject>(
  dialect: Dialect<F>,
  flat: F,
  { main, agreements, translated, now }: FlatStatusOptions,
): FlatStatus {
  const generation = flat.metadata.generation ?? 0
  const {
    conditions = [],
    observedGeneration: _observed,
    ...mirrored
  } = (main?.status ?? {}) as {
    conditions?: Condition[]
    observedGeneration?: number
  }
  const isCurrent = agreements.canonical?.fromGeneration === generation
  const shown = conditions.map((condition) => {
    const of = condition.observedGeneration
    // Of an earlier spec than this object's, it is told as such: whoever waits goes on waiting.
    const current = isCurrent && (of === undefined || of === main?.metadata.generation)
    return { ...condition, observedGeneration: current ? generation : Math.max(generation - 1, 0) }
  })
  const own: ConditionState[] = [{ ...translated, observedGeneration: generation }]
  if (dialect.hasReady && translated.status === 'False' && !findCondition(shown, 'Ready'))
    own.unshift({ ...own[0], type: 'Ready' } as ConditionState)
  const before = flat.status?.conditions ?? []
  const times = before.filter(({ type }) => own.some((state) => state.type === type))
  return {
    ...mirrored,
    conditions: [...shown, ...mergeConditions(times, own, { now })],
    observedGeneration: generation,
    ...agreements,
  }
}
