import type { PodCondition } from 'kubernetes-types/core/v1.d.ts'

/** What the node says in a condition of a Pod; the times are added when it is written. */
export type ConditionFields = Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>
