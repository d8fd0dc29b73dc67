/** What a StatefulSet and a DaemonSet have in common: Pods that they claim, and templates that are kept as revisions. */
import { controllerOf, type KubeObject, type LabelSelector } from '@caisson/api'
import { type PodObject, resources, type Typed } from '@caisson/client'
import type { Plan, Write, WriteFailure } from '@caisson/controllers'
import type { DaemonSet, DaemonSetSpec, StatefulSet, StatefulSetSpec } from 'kubernetes-types/apps/v1.d.ts'
import { type Claimed, claim, nextAvailable } from './pods.ts'
import { planRevisions, type RevisionObject, truncate } from './revisions.ts'

export interface ObservedRevisedSet {
  set: Typed<DaemonSet> | Typed<StatefulSet>
  /** Those that it controls, and those of its namespace that nobody does. */
  pods: readonly PodObject[]
  /** Those of its namespace, whoever controls them. */
  revisions: readonly RevisionObject[]
  failures: readonly WriteFailure[]
}

export interface RevisedPods {
  owned: readonly PodObject[]
  /** The revision of the template as it is now. */
  update: RevisionObject
  /** Oldest first. */
  revisions: readonly RevisionObject[]
  /** Whether nothing has to be written before the Pods' own turn. */
  settled: boolean
}

export interface RevisedStep {
  /** Not made where the set is being deleted. */
  writes: readonly Write[]
  /** Names of the revisions that are kept whatever the limit. */
  inUse: ReadonlySet<string>
  status: object
  /** When to look again, ms since the epoch. */
  requeueAt?: number
}

/** Pods are claimed and the template has its revision before `step` says what becomes of the Pods. */
export function planRevisedPods(
  { set, pods, revisions: known, failures }: ObservedRevisedSet,
  now: number,
  step: (revised: RevisedPods) => RevisedStep,
): Plan<object> {
  const { selector, template, minReadySeconds, revisionHistoryLimit } = set.spec as DaemonSetSpec | StatefulSetSpec
  const owner = set as KubeObject
  const { owned, writes } = claim(owner, selector as LabelSelector, pods as (PodObject & KubeObject)[], resources.pods)
  const { collisionCount } = set.status ?? {}
  const own = claimRevisions(owner, selector as LabelSelector, known)
  const isTaken = (name: string): boolean => known.some(({ metadata }) => metadata.name === name)
  const revisions = planRevisions({ owner, template, revisions: own.owned, isTaken, collisionCount })
  const leaving = set.metadata.deletionTimestamp !== undefined
  writes.push(...own.writes, ...(leaving ? [] : revisions.writes))
  const plan = { writes, statusEvents: [], statusMayWait: 0, retry: failures.length > 0 }
  if (revisions.collides && !leaving)
    return { ...plan, status: { ...set.status, collisionCount: (collisionCount ?? 0) + 1 }, requeueAt: now }
  const { update, all } = revisions
  if (!update) return { ...plan, status: undefined }
  const next = step({ owned, update, revisions: all, settled: writes.length === 0 })
  if (!leaving) writes.push(...next.writes, ...truncate(all, next.inUse, revisionHistoryLimit ?? 10))
  const waits = [nextAvailable(owned, minReadySeconds, now), next.requeueAt].filter((moment) => moment !== undefined)
  return { ...plan, status: next.status, ...(waits.length > 0 && { requeueAt: Math.min(...waits) }) }
}

/** Its own, and those that nobody controls, as a set of its name that was deleted without them has left them. */
function claimRevisions(
  owner: KubeObject,
  selector: LabelSelector,
  known: readonly RevisionObject[],
): Claimed<RevisionObject & KubeObject> {
  const all = known as (RevisionObject & KubeObject)[]
  const left = all.filter((revision) => controllerOf(revision) === undefined)
  const taken = claim(owner, selector, left, resources.controllerRevisions)
  const own = all.filter((revision) => controllerOf(revision)?.uid === owner.metadata.uid)
  return { owned: [...own, ...taken.owned], writes: taken.writes }
}
