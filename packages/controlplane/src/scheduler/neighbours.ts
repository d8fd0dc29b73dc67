/**
 * What a Pod's place depends on besides the node: which Pods are where. Required affinity and anti-affinity, its own and
 * that of others against it, and topology spread, as kube-scheduler counts them.
 */
import { type LabelSelector, matchesNodeSelector, selects } from '@caisson/api'
import type { PodObject, Typed } from '@caisson/client'
import type { Node, PodAffinityTerm, TopologySpreadConstraint } from 'kubernetes-types/core/v1.d.ts'
import { tolerates } from '../nodes/tolerations.ts'

export interface Placed {
  pod: PodObject
  /** Its name. */
  node: string
}

export interface Surroundings {
  nodes: readonly Typed<Node>[]
  /** Every Pod that has a node and has not ended; looked at only where the Pod asks for something of its neighbours. */
  placed: Iterable<Placed>
  /** Those of them that have required anti-affinity. */
  averse: Iterable<Placed>
  labelsOfNamespace(name: string): Readonly<Record<string, string>> | undefined
}

export interface Neighbours {
  /** Why the Pod may not be on the node, in kube-scheduler's words; undefined where it may. */
  problemOn(node: Typed<Node>): string | undefined
  /** As if a Pod had come to a node (1), or had gone from it (-1). */
  change(placed: Placed, by: 1 | -1): void
}

const NOT_NEAR = "node(s) didn't match pod affinity rules"
const TOO_NEAR = "node(s) didn't match pod anti-affinity rules"
const UNWANTED = "node(s) didn't satisfy existing pods anti-affinity rules"
const UNEVEN = "node(s) didn't match pod topology spread constraints"
/** What others are the cause of, and not the node. */
export const CROWDED_NEIGHBOURS: readonly string[] = [TOO_NEAR, UNWANTED, UNEVEN]

/** Of one Pod about its neighbours. Each is asked of each of them in a few microseconds, while nobody else has a turn. */
export const MOST_TERMS = 100

export function termsOf({ spec }: PodObject): number {
  const { podAffinity, podAntiAffinity } = spec?.affinity ?? {}
  const lists = [podAffinity, podAntiAffinity].map((each) => each?.requiredDuringSchedulingIgnoredDuringExecution ?? [])
  return lists.flat().length + (spec?.topologySpreadConstraints ?? []).length
}

export function isAverse(pod: PodObject): boolean {
  return aversions(pod).length > 0
}

/** No more of them than are looked at: who names a node itself is asked for none by the scheduler. */
function aversions({ spec }: PodObject): readonly PodAffinityTerm[] {
  const terms = spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
  return terms.length > MOST_TERMS ? terms.slice(0, MOST_TERMS) : terms
}

/** Whether its place depends on which Pods are where. */
export function asksOfNeighbours({ spec }: PodObject): boolean {
  const { podAffinity, podAntiAffinity } = spec?.affinity ?? {}
  return podAffinity !== undefined || podAntiAffinity !== undefined || !!spec?.topologySpreadConstraints?.length
}

export function createNeighbours(pod: PodObject, surroundings: Surroundings): Neighbours {
  const labels = new Map(surroundings.nodes.map(({ metadata }) => [metadata.name ?? '', metadata.labels ?? {}]))
  const parts = [
    createAffinity(pod, surroundings),
    createAntiAffinity(pod, surroundings),
    createAversion(pod, surroundings),
    ...createSpread(pod, surroundings),
  ].filter((part) => part !== undefined)
  const change = ({ pod: other, node }: Placed, by: 1 | -1): void => {
    const where = labels.get(node)
    if (where) for (const part of parts) part.change(other, where, by)
  }
  const asks = parts.some((part) => part.looksAtAll)
  for (const each of asks ? surroundings.placed : surroundings.averse) change(each, 1)
  return {
    change,
    problemOn({ metadata }) {
      for (const part of parts) {
        const problem = part.problemOn(metadata.labels ?? {})
        if (problem !== undefined) return problem
      }
      return undefined
    },
  }
}

type Labels = Readonly<Record<string, string>>

interface Part {
  /** Whether every Pod may matter, and not only those that are averse to others. */
  looksAtAll: boolean
  change(other: PodObject, node: Labels, by: 1 | -1): void
  problemOn(node: Labels): string | undefined
}

/** How many Pods there are by the value of a label of their nodes. */
function createTally(key: string) {
  const counts = new Map<string, number>()
  const valueOf = (node: Labels): string | undefined => (Object.hasOwn(node, key) ? node[key] : undefined)
  return {
    counts,
    valueOf,
    add(node: Labels, by: 1 | -1): void {
      const value = valueOf(node)
      if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + by)
    },
    of: (value: string): number => counts.get(value) ?? 0,
    isEmpty: (): boolean => [...counts.values()].every((count) => count === 0),
  }
}

/** Whether a term of a Pod is about another one. */
function isAbout(
  term: PodAffinityTerm,
  owner: PodObject,
  other: PodObject,
  { labelsOfNamespace }: Surroundings,
): boolean {
  const { namespaces = [], namespaceSelector, labelSelector } = term
  const theirs = other.metadata.namespace ?? ''
  const own = namespaces.length === 0 && !namespaceSelector && theirs === owner.metadata.namespace
  const isIn =
    own ||
    namespaces.includes(theirs) ||
    (namespaceSelector !== undefined && selects(namespaceSelector as LabelSelector, labelsOfNamespace(theirs) ?? {}))
  return isIn && selects(labelSelector as LabelSelector | undefined, other.metadata.labels)
}

function createAffinity(pod: PodObject, surroundings: Surroundings): Part | undefined {
  const terms = pod.spec?.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
  if (terms.length === 0) return undefined
  const isMeant = (other: PodObject): boolean => terms.every((term) => isAbout(term, pod, other, surroundings))
  const tallies = terms.map(({ topologyKey }) => createTally(topologyKey))
  return {
    looksAtAll: true,
    change(other, node, by) {
      if (isMeant(other)) for (const tally of tallies) tally.add(node, by)
    },
    problemOn(node) {
      const values = tallies.map((tally) => tally.valueOf(node))
      if (values.includes(undefined)) return NOT_NEAR
      if (tallies.every((tally, index) => tally.of(values[index] ?? '') > 0)) return undefined
      // The first of those that want to be near each other.
      return tallies.every((tally) => tally.isEmpty()) && isMeant(pod) ? undefined : NOT_NEAR
    },
  }
}

function createAntiAffinity(pod: PodObject, surroundings: Surroundings): Part | undefined {
  const terms = aversions(pod)
  if (terms.length === 0) return undefined
  const tallies = terms.map((term) => ({ term, tally: createTally(term.topologyKey) }))
  return {
    looksAtAll: true,
    change(other, node, by) {
      for (const { term, tally } of tallies) if (isAbout(term, pod, other, surroundings)) tally.add(node, by)
    },
    problemOn(node) {
      const isNear = tallies.some(({ tally }) => tally.of(tally.valueOf(node) ?? '') > 0)
      return isNear ? TOO_NEAR : undefined
    },
  }
}

/** Those who do not want the Pod near them. */
function createAversion(pod: PodObject, surroundings: Surroundings): Part {
  const tallies = new Map<string, ReturnType<typeof createTally>>()
  return {
    looksAtAll: false,
    change(other, node, by) {
      for (const term of aversions(other)) {
        if (!isAbout(term, other, pod, surroundings)) continue
        const tally = tallies.get(term.topologyKey) ?? createTally(term.topologyKey)
        tallies.set(term.topologyKey, tally)
        tally.add(node, by)
      }
    },
    problemOn(node) {
      const isNear = [...tallies.values()].some((tally) => tally.of(tally.valueOf(node) ?? '') > 0)
      return isNear ? UNWANTED : undefined
    },
  }
}

interface SpreadConstraint extends TopologySpreadConstraint {
  nodeAffinityPolicy?: string
  nodeTaintsPolicy?: string
}

function createSpread(pod: PodObject, { nodes }: Surroundings): Part[] {
  const constraints = ((pod.spec?.topologySpreadConstraints ?? []) as SpreadConstraint[]).filter(
    ({ whenUnsatisfiable }) => whenUnsatisfiable === 'DoNotSchedule',
  )
  const keys = constraints.map(({ topologyKey }) => topologyKey)
  const counted = (node: Typed<Node>, { nodeAffinityPolicy, nodeTaintsPolicy }: SpreadConstraint): boolean =>
    keys.every((key) => Object.hasOwn(node.metadata.labels ?? {}, key)) &&
    (nodeAffinityPolicy === 'Ignore' || matchesNodeSelector(pod.spec ?? {}, node.metadata)) &&
    (nodeTaintsPolicy !== 'Honor' ||
      (node.spec?.taints ?? []).every((taint) => taint.effect === 'PreferNoSchedule' || tolerates(pod, taint)))
  return constraints.map((constraint): Part => {
    const { topologyKey, maxSkew, minDomains = 1 } = constraint
    const selector = constraint.labelSelector as LabelSelector | undefined
    const tally = createTally(topologyKey)
    const domains = new Set(
      nodes
        .filter((node) => counted(node, constraint))
        .map(({ metadata }) => tally.valueOf(metadata.labels ?? {}) ?? ''),
    )
    const own = selects(selector, pod.metadata.labels) ? 1 : 0
    return {
      looksAtAll: true,
      change(other, node, by) {
        const isOfThem = other.metadata.namespace === pod.metadata.namespace && !other.metadata.deletionTimestamp
        if (isOfThem && selects(selector, other.metadata.labels)) tally.add(node, by)
      },
      problemOn(node) {
        const value = tally.valueOf(node)
        if (value === undefined) return `${UNEVEN} (missing required label)`
        const least = domains.size < minDomains ? 0 : Math.min(...[...domains].map((domain) => tally.of(domain)))
        return tally.of(value) + own - least > maxSkew ? UNEVEN : undefined
      },
    }
  })
}
