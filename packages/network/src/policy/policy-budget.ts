/**
 * What the policies of one namespace may cost all others: the table of the kernel grows by what each tenant writes, and each
 * Pod is compared with what they select. What no longer fits opens nothing of what it says.
 */
import { isDeepStrictEqual } from 'node:util'
import { createNamespaceBudget, type Granted } from '../namespace-budget.ts'
import { createGroups } from './groups.ts'
import {
  COMPARISON_WEIGHT,
  type Direction,
  EVERYBODY,
  type PodSelector,
  type Policy,
  type PolicyRule,
  says,
} from './policy-model.ts'

/**
 * Of one namespace; some 120 policies with a rule that selects peers of a namespace by a label, 40 with one that selects
 * those of any, or 6,000 ranges of addresses or ports.
 */
const NAMESPACE_BUDGET = 6_000
/** Of a policy, which each Pod of its namespace is compared with; and in each direction in which it has rules. */
const COST_OF_A_POLICY = { kept: 5, asked: 5 }
/**
 * Of a set of the kernel, which has an element for each Pod that is selected: by the policy itself; by a rule, of one
 * namespace or of all; and of one with elements for each port of a Pod that is named.
 */
const COST_OF_A_SET = { own: 10, near: 20, everywhere: 100, ports: 100 }

export interface PolicyBudget {
  /**
   * @param age orders policies by when they were made. Gives what is in force otherwise than before, by its key; undefined
   * where nothing is any more. Under `NAMESPACE/` is one that stands for all that are for the whole of a namespace.
   */
  set(key: string, policy: Policy, age: string): ReadonlyMap<string, Policy | undefined>
  remove(key: string): ReadonlyMap<string, Policy | undefined>
}

export function createPolicyBudget(budget: number = NAMESPACE_BUDGET): PolicyBudget {
  const shares = createNamespaceBudget(budget)
  const policies = new Map<string, Policy>()
  /** Those that isolate the whole of their namespace. */
  const forAll = { ingress: createGroups<Policy>(), egress: createGroups<Policy>() }
  const standIns = new Map<string, Policy>()

  function inForce(namespace: string, granted: ReadonlyMap<string, Granted>): Map<string, Policy | undefined> {
    const changed = new Map<string, Policy | undefined>()
    for (const [key, { level, spent }] of granted) {
      const policy = policies.get(key)
      if (!policy) continue
      for (const direction of ['ingress', 'egress'] as const) {
        if (level > 1 && policy[direction] !== undefined) forAll[direction].set(namespace, key, policy)
        else forAll[direction].remove(namespace, key)
      }
      changed.set(key, level === 0 ? policy : closed(policy, { toAll: level > 1, spent, budget }))
    }
    const standIn = standInOf(namespace)
    if (!isDeepStrictEqual(standIns.get(namespace), standIn)) changed.set(`${namespace}/`, standIn)
    if (standIn) standIns.set(namespace, standIn)
    else standIns.delete(namespace)
    return changed
  }

  /** One for all that isolate the namespace: however many there are, they come to the same. */
  function standInOf(namespace: string): Policy | undefined {
    const isolates = (direction: Direction): [] | undefined =>
      forAll[direction].of(namespace).size > 0 ? [] : undefined
    const standIn = { ingress: isolates('ingress'), egress: isolates('egress') }
    if (!says(standIn)) return undefined
    return { id: '', namespace, podSelector: EVERYBODY, ...standIn, problem: undefined }
  }

  return {
    set(key, policy, age) {
      const { namespace, podSelector } = policy
      policies.set(key, policy)
      // As it is written; closed for whom it selects; or, where to ask whom it selects is too much, for its namespace.
      const costs = [costOf(policy), COST_OF_A_POLICY.kept + podSelector.weight]
      return inForce(namespace, shares.set(key, { namespace, age, costs }))
    },
    remove(key) {
      const known = policies.get(key)
      if (!known) return new Map()
      policies.delete(key)
      for (const each of Object.values(forAll)) each.remove(known.namespace, key)
      return inForce(known.namespace, shares.remove(key))
    },
  }
}

function costOf({ podSelector, ingress, egress }: Policy): number {
  const directions = [ingress, egress].filter((rules) => rules !== undefined && rules.length > 0)
  const own = COST_OF_A_POLICY.asked + (podSelector.weight > 0 ? COST_OF_A_SET.own : 0)
  const asked = COST_OF_A_POLICY.kept + podSelector.weight + own * directions.length
  return directions.flatMap((rules = []) => rules).reduce((sum, rule) => sum + costOfRule(rule), asked)
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

/** It isolates whom it selects and opens nothing; or does nothing itself, where one for all of its namespace stands for it. */
function closed(policy: Policy, { toAll, spent, budget }: { toAll: boolean; spent: number; budget: number }): Policy {
  const { namespace } = policy
  const whom = toAll ? '; whom it selects costs too much to be asked, and it is for all of the namespace' : ''
  const problem = `it counts for ${costOf(policy)} rules, ranges and labels, and the older policies of namespace ${namespace} for ${spent} of the ${budget} that it may have: remove some, or write them shorter${whom}`
  return {
    ...policy,
    ingress: policy.ingress && !toAll ? [] : undefined,
    egress: policy.egress && !toAll ? [] : undefined,
    problem: policy.problem ?? problem,
  }
}
