/** What becomes of a NetworkPolicy whose template is gone: Sandboxes that were made from it stay behind it to their end. */
import { nothing, type Plan, type WriteFailure } from '../engine/plan.ts'
import { deletionOf } from '../sandbox/objects.ts'
import { isLeftBy, NETWORK_POLICIES, type NetworkPolicy, templateNameOf } from './network-policy.ts'

export interface ObservedPolicy {
  policy: NetworkPolicy
  /** Whether there is a template of the name that the policy's own stands for: it sees to it. */
  hasTemplate: boolean
  /** Whether there are Sandboxes, or Pods, that the policy selects. */
  isInUse: boolean
  failures: readonly WriteFailure[]
}

export function planLeftPolicy({ policy, hasTemplate, isInUse, failures }: ObservedPolicy): Plan<never> {
  const name = templateNameOf(policy)
  if (hasTemplate || isInUse || name === undefined || policy.metadata.deletionTimestamp) return nothing()
  if (!isLeftBy(policy, { name })) return nothing()
  const write = deletionOf(NETWORK_POLICIES, policy)
  const failed = failures.some(({ id }) => id === write.id)
  return { ...nothing(), writes: failed ? [] : [write], retry: failed }
}
