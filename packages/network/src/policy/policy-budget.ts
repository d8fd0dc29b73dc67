/**
 * What the policies of one namespace may cost all others: the table of the kernel grows by what each tenant writes, and each
 * Pod is compared with what they select. What no longer fits opens nothing of what it says.
 */
import { createNamespaceBudget, type Granted } from '../namespace-budget.ts'
import { COMPARISON_WEIGHT, EVERYBODY, type PodSelector, type Policy, type PolicyRule } from './policy-model.ts'

/**
 * Of one namespace; some 160 rules that select peers of a namespace by two labels, 40 that select those of any, or 5,000
 * ranges of addresses or ports.
 */
const NAMESPACE_BUDGET = 5_000
/**
 * Of a set of the kernel, which has an element for each Pod that is selected: of one namespace, or of all; and of one with
 * elements for each port of a Pod that is named.
 */
const COST_OF_A_SET = { near: 20, everywhere: 100, ports: 100 }

export interface PolicyBudget {
  /** @param age orders policies by when they were made. Gives what is in force otherwise than before, by its key. */
  set(key: string, policy: Policy, age: string): ReadonlyMap<string, Policy>
  remove(key: string): ReadonlyMap<string, Policy>
}

export function createPolicyBudget(budget: number = NAMESPACE_BUDGET): PolicyBudget {
  const shares = createNamespaceBudget(budget)
  const policies = new Map<string, Policy>()

  function inForce(granted: ReadonlyMap<string, Granted>): Map<string, Policy> {
    const changed = new Map<string, Policy>()
    for (const [key, { level, spent }] of granted) {
      const policy = policies.get(key)
      if (policy) changed.set(key, level === 0 ? policy : closed(policy, { toAll: level > 1, spent, budget }))
    }
    return changed
  }

  return {
    set(key, policy, age) {
      const { namespace, podSelector } = policy
      policies.set(key, policy)
      // As it is written; closed for whom it selects; or, where to ask whom it selects is too much, for its namespace.
      const granted = shares.set(key, { namespace, age, costs: [costOf(policy), podSelector.weight] })
      return inForce(granted)
    },
    remove(key) {
      policies.delete(key)
      return inForce(shares.remove(key))
    },
  }
}

function costOf({ podSelector, ingress = [], egress = [] }: Policy): number {
  return [...ingress, ...egress].reduce((sum, rule) => sum + costOfRule(rule), podSelector.weight)
}

function costOfRule({ peers, ports }: PolicyRule): number {
  const { selectors = [], ranges = [], metadata = [] } = peers ?? {}
  const { numbers = [], names = [] } = ports ?? {}
  const reach = selectors.some(({ within }) => within === undefined) ? 'everywhere' : 'near'
  const sets = (selectors.length > 0 ? COST_OF_A_SET[reach] : 0) + (names.length > 0 ? COST_OF_A_SET.ports : 0)
  const compared = selectors.reduce((sum, selector) => sum + costOfSelector(selector), 0)
  return 1 + sets + ranges.length + metadata.length + numbers.length + names.length + compared
}

function costOfSelector({ namespaceSelector, podSelector }: PodSelector): number {
  return COMPARISON_WEIGHT + (namespaceSelector?.weight ?? 0) + (podSelector?.weight ?? 0)
}

/** It isolates whom it selects, or all of its namespace, and opens nothing. */
function closed(policy: Policy, { toAll, spent, budget }: { toAll: boolean; spent: number; budget: number }): Policy {
  const { namespace } = policy
  const whom = toAll ? '; whom it selects costs too much to be asked, and it is for all of the namespace' : ''
  const problem = `it counts for ${costOf(policy)} rules, ranges and labels, and the older policies of namespace ${namespace} for ${spent} of the ${budget} that it may have: remove some, or write them shorter${whom}`
  return {
    ...policy,
    podSelector: toAll ? EVERYBODY : policy.podSelector,
    ingress: policy.ingress && [],
    egress: policy.egress && [],
    problem: policy.problem ?? problem,
  }
}
