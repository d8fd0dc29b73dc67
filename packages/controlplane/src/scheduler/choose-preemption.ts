/** Who has to go for a Pod of higher priority, as kube-scheduler chooses: as few and as unimportant ones as can be. */
import { type LabelSelector, selects } from '@caisson/api'
import type { AnyObject, PodObject } from '@caisson/client'
import type { PodDisruptionBudgetSpec, PodDisruptionBudgetStatus } from 'kubernetes-types/policy/v1.d.ts'
import { isCrowded, type NodeLoad, unfit } from './fit.ts'
import type { Neighbours, Placed } from './neighbours.ts'
import { type Counted, requestOf, together } from './node-loads.ts'

export interface Budget extends AnyObject {
  spec?: PodDisruptionBudgetSpec
  status?: PodDisruptionBudgetStatus
}

export interface PreemptionOptions {
  /** In the same order as `reasons`. */
  loads: readonly NodeLoad[]
  /** Why each of them does not do. */
  reasons: ReadonlyArray<readonly string[]>
  placedOn(node: string): Iterable<Counted>
  neighbours: Neighbours
  budgets: readonly Budget[]
}

export interface Preemption {
  node: string
  victims: PodObject[]
}

export function priorityOf({ spec }: PodObject): number {
  return spec?.priority ?? 0
}

/** The node from which the least has to go, and what; undefined where nothing would help. */
export function choosePreemption(pod: PodObject, options: PreemptionOptions): Preemption | undefined {
  const candidates = options.loads
    .filter((_, index) => isCrowded(options.reasons[index] ?? []))
    .flatMap((load) => candidateOn(pod, load, options) ?? [])
  return candidates.sort(compareCandidates)[0]
}

interface Candidate extends Preemption {
  /** Victims whose disruption budgets do not allow it. */
  violations: number
}

function candidateOn(pod: PodObject, load: NodeLoad, options: PreemptionOptions): Candidate | undefined {
  const { neighbours } = options
  const node = load.node.metadata.name ?? ''
  const request = requestOf(pod)
  const all = [...options.placedOn(node)]
  const lower = all.filter((other) => priorityOf(other.pod) < priorityOf(pod)).sort(byImportance)
  if (lower.length === 0) return undefined
  const gone = new Set<Counted>()
  let { requested } = load
  const move = (other: Counted, by: 1 | -1): void => {
    requested = together(requested, other.request, by)
    neighbours.change(other, by)
    if (by === -1) gone.add(other)
    else gone.delete(other)
  }
  const fits = (): boolean => {
    const ports = gone.size === 0 ? load.ports : all.flatMap((other) => (gone.has(other) ? [] : other.ports))
    return unfit(pod, request, { ...load, requested, ports }, neighbours).length === 0
  }
  for (const other of lower) move(other, -1)
  try {
    if (!fits()) return undefined
    // The most important ones first: whoever need not go stays.
    const [violating, allowed] = splitByBudgets(lower, options.budgets)
    const victims = [...violating, ...allowed].filter((other) => {
      move(other, 1)
      if (fits()) return false
      move(other, -1)
      return true
    })
    const violations = victims.filter((victim) => violating.includes(victim)).length
    return { node, victims: victims.map((victim) => victim.pod), violations }
  } finally {
    for (const other of gone) move(other, 1)
  }
}

function byImportance(a: Placed, b: Placed): number {
  return priorityOf(b.pod) - priorityOf(a.pod) || (startOf(a.pod) < startOf(b.pod) ? -1 : 1)
}

function startOf({ status, metadata }: PodObject): string {
  return status?.startTime ?? metadata.creationTimestamp ?? ''
}

/** Each that goes takes from its budgets; those for whom nothing is left come first. */
function splitByBudgets(
  others: readonly Counted[],
  budgets: readonly Budget[],
): [violating: Counted[], allowed: Counted[]] {
  const left = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]))
  const violating: Counted[] = []
  const allowed: Counted[] = []
  for (const other of others) {
    const { namespace, labels, name = '' } = other.pod.metadata
    let violates = false
    for (const [budget, allowance] of left) {
      if (budget.metadata.namespace !== namespace) continue
      if (!selects(budget.spec?.selector as LabelSelector | undefined, labels)) continue
      // One that is being evicted already has been taken from it.
      if (Object.hasOwn(budget.status?.disruptedPods ?? {}, name)) continue
      left.set(budget, allowance - 1)
      violates ||= allowance <= 0
    }
    ;(violates ? violating : allowed).push(other)
  }
  return [violating, allowed]
}

function compareCandidates(a: Candidate, b: Candidate): number {
  const highest = ({ victims }: Candidate): number => Math.max(...victims.map(priorityOf))
  const sum = ({ victims }: Candidate): number => victims.reduce((total, victim) => total + priorityOf(victim), 0)
  return (
    a.violations - b.violations || highest(a) - highest(b) || sum(a) - sum(b) || a.victims.length - b.victims.length
  )
}
