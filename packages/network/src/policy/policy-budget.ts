/**
 * What the policies of one namespace may cost all others: they share one table of the kernel, which grows by what each
 * tenant writes. The oldest come first; what no longer fits opens nothing of what it says.
 */
import type { Policy, PolicyRule } from './policy-model.ts'

/** Of one namespace; some 250 rules that select peers, or 5,000 ranges of addresses or ports. */
const NAMESPACE_BUDGET = 5_000
/** A set of its own, and an element for each Pod of the cluster that it selects. */
const COST_OF_A_SET = 20

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
  inForce: Policy | undefined
}

export function createPolicyBudget(budget: number = NAMESPACE_BUDGET): PolicyBudget {
  const entries = new Map<string, Entry>()
  /** Of each namespace, the oldest first. */
  const ordered = new Map<string, Entry[]>()

  function judge(namespace: string): Map<string, Policy> {
    const changed = new Map<string, Policy>()
    let spent = 0
    for (const entry of ordered.get(namespace) ?? []) {
      const fits = spent + entry.cost <= budget
      if (fits) spent += entry.cost
      const next = fits ? entry.policy : closed(entry, { namespace, spent, budget })
      if (entry.inForce === next || (entry.inForce?.id === next.id && entry.inForce.problem !== undefined && !fits))
        continue
      entry.inForce = next
      changed.set(entry.key, next)
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
      const entry: Entry = { key, age, policy, cost: costOf(policy), inForce: undefined }
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

function costOf({ ingress = [], egress = [] }: Policy): number {
  return [...ingress, ...egress].reduce((sum, rule) => sum + costOfRule(rule), 0)
}

function costOfRule({ peers, ports }: PolicyRule): number {
  const sets = (peers?.selectors.length ? COST_OF_A_SET : 0) + (ports?.names.length ? COST_OF_A_SET : 0)
  return 1 + sets + (peers?.ranges.length ?? 0) + (peers?.metadata.length ?? 0) + (ports?.numbers.length ?? 0)
}

/** It isolates whom it selects, and opens nothing. */
function closed(
  { policy, cost }: Entry,
  { namespace, spent, budget }: { namespace: string; spent: number; budget: number },
): Policy {
  const problem = `it counts for ${cost} rules and ranges, and the older policies of namespace ${namespace} for ${spent} of the ${budget} that it may have: remove some, or write them shorter`
  return { ...policy, ingress: policy.ingress && [], egress: policy.egress && [], problem: policy.problem ?? problem }
}
