/**
 * What the policies of one namespace may cost all others: they share one table of the kernel, which grows by what each
 * tenant writes, and one process, which compares each Pod with what they select. The oldest come first; what no longer
 * fits opens nothing of what it says.
 */
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

interface Entry {
  key: string
  age: string
  policy: Policy
  cost: number
  /** Undefined until it is judged. */
  force: Force | undefined
}

/** As it is written, closed for whom it selects, or, where to ask whom it selects costs too much, for the namespace. */
type Force = 'whole' | 'closed' | 'closed-for-all'

function forceOf({ cost, policy }: Entry, left: number): Force {
  if (cost <= left) return 'whole'
  return policy.podSelector.weight <= left ? 'closed' : 'closed-for-all'
}

export function createPolicyBudget(budget: number = NAMESPACE_BUDGET): PolicyBudget {
  const entries = new Map<string, Entry>()
  /** Of each namespace, the oldest first. */
  const ordered = new Map<string, Entry[]>()

  function judge(namespace: string): Map<string, Policy> {
    const changed = new Map<string, Policy>()
    let spent = 0
    for (const entry of ordered.get(namespace) ?? []) {
      const force = forceOf(entry, budget - spent)
      if (entry.force !== force) {
        entry.force = force
        changed.set(entry.key, force === 'whole' ? entry.policy : closed(entry, force, { namespace, spent, budget }))
      }
      if (force === 'whole') spent += entry.cost
      else if (force === 'closed') spent += entry.policy.podSelector.weight
    }
    return changed
  }

  function take(key: string): string | undefined {
    const known = entries.get(key)
    if (!known) return undefined
    entries.delete(key)
    const { namespace } = known.policy
    const left = (ordered.get(namespace) ?? []).filter((entry) => entry !== known)
    if (left.length > 0) ordered.set(namespace, left)
    else ordered.delete(namespace)
    return namespace
  }

  return {
    set(key, policy, age) {
      take(key)
      const entry: Entry = { key, age, policy, cost: costOf(policy), force: undefined }
      entries.set(key, entry)
      const others = ordered.get(policy.namespace) ?? []
      const at = others.findIndex((other) => other.age > age || (other.age === age && other.key > key))
      ordered.set(policy.namespace, at < 0 ? [...others, entry] : others.toSpliced(at, 0, entry))
      return judge(policy.namespace)
    },
    remove(key) {
      const namespace = take(key)
      return namespace === undefined ? new Map() : judge(namespace)
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

/** It isolates whom it selects, or everybody in its namespace, and opens nothing. */
function closed(
  { policy, cost }: Entry,
  force: Force,
  { namespace, spent, budget }: { namespace: string; spent: number; budget: number },
): Policy {
  const whom =
    force === 'closed' ? '' : '; whom it selects costs too much to be asked, and it is for all of the namespace'
  const problem = `it counts for ${cost} rules, ranges and labels, and the older policies of namespace ${namespace} for ${spent} of the ${budget} that it may have: remove some, or write them shorter${whom}`
  return {
    ...policy,
    podSelector: force === 'closed' ? policy.podSelector : EVERYBODY,
    ingress: policy.ingress && [],
    egress: policy.egress && [],
    problem: policy.problem ?? problem,
  }
}
