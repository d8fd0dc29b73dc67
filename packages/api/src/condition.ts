import type { Condition } from './object.ts'

/** A condition as a plan states it; when it last changed follows from what was there before. */
export type ConditionState = Omit<Condition, 'lastTransitionTime'>

export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type)
}

export function isConditionTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === 'True'
}

/**
 * Puts `states` over `current`: each keeps its place and, unless its status changes, its transition time; new ones come
 * last. Types in `dropped` are removed. `current` is not changed.
 *
 * @param now ms since the epoch
 */
export function mergeConditions(
  current: readonly Condition[] | undefined,
  states: readonly ConditionState[],
  options: { now: number; dropped?: readonly string[] },
): Condition[] {
  const merged = new Map((current ?? []).map((condition) => [condition.type, condition]))
  for (const type of options.dropped ?? []) merged.delete(type)
  for (const state of states) {
    const before = merged.get(state.type)
    const lastTransitionTime =
      before && before.status === state.status ? before.lastTransitionTime : kubernetesTime(options.now)
    merged.set(state.type, { ...state, lastTransitionTime })
  }
  return [...merged.values()]
}

/** `metav1.Time` on the wire: RFC 3339 in UTC, whole seconds. */
export function kubernetesTime(now: number): string {
  return `${new Date(now).toISOString().slice(0, 19)}Z`
}

/** ms since the epoch of a time as the API has it; undefined for none, and for what is none. */
export function parseKubernetesTime(text: string | undefined): number | undefined {
  // RFC 3339 allows lower case and a leap second; Date.parse allows neither.
  const time = Date.parse((text ?? '').toUpperCase().replace(/:60(?=[.Z+-])/, ':59'))
  return Number.isNaN(time) ? undefined : time
}
