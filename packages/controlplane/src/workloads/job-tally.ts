/** What has become of a Job's Pods, each counted once. */
import { type PodObject, resources } from '@caisson/client'
import { type Write, writeId } from '@caisson/controllers'
import type { JobSpec } from 'kubernetes-types/batch/v1.d.ts'
import { isTrue } from './job-conditions.ts'
import { type Indexes, parseIndexes } from './job-indexes.ts'
import {
  FAILURES,
  hasFailed,
  IGNORED_FAILURES,
  indexOf,
  isIndexed,
  isTracked,
  type JobObject,
  judgeFailure,
} from './job-pods.ts'
import { TRACKING } from './job-tracking.ts'

export interface Tally {
  succeeded: number
  failed: number
  /** What the status is to say. */
  counted: { succeeded: number; failed: number }
  uncounted: { succeeded: string[]; failed: string[] }
  completedIndexes: Indexes
  failedIndexes: Indexes
  /** Finalizers that may go, since what they hold has been counted. */
  released: Write[]
  /** Something is to be done as soon as the status is written. */
  pending: boolean
}

/** Counts the ends of Pods, each once. */
export function countEnds(job: JobObject, pods: readonly PodObject[]): Tally {
  const spec = job.spec as JobSpec
  const status = job.status ?? {}
  const completions = spec.completions ?? 0
  const indexed = isIndexed(spec)
  const known = {
    succeeded: new Set<string>(status.uncountedTerminatedPods?.succeeded),
    failed: new Set<string>(status.uncountedTerminatedPods?.failed),
  }
  const held = new Map(pods.filter(isTracked).map((pod) => [pod.metadata.uid ?? '', pod]))
  const counted = { succeeded: status.succeeded ?? 0, failed: status.failed ?? 0 }
  const uncounted: Tally['uncounted'] = { succeeded: [], failed: [] }
  const released: Write[] = []
  for (const kind of ['succeeded', 'failed'] as const) {
    for (const uid of known[kind]) {
      const pod = held.get(uid)
      if (pod) {
        released.push(release(pod))
        uncounted[kind].push(uid)
      } else counted[kind]++
    }
  }
  const before = parseIndexes(status.completedIndexes, completions)
  const completedIndexes = parseIndexes(status.completedIndexes, completions)
  const failedIndexes = parseIndexes((status as { failedIndexes?: string }).failedIndexes, completions)
  let pending = uncounted.succeeded.length + uncounted.failed.length > 0
  for (const [uid, pod] of held) {
    if (known.succeeded.has(uid) || known.failed.has(uid)) continue
    const index = indexed ? indexOf(pod, completions) : undefined
    if (pod.status?.phase === 'Succeeded') {
      if (!indexed) uncounted.succeeded.push(uid)
      else if (index === undefined || before.has(index)) released.push(release(pod))
      else completedIndexes.add(index)
      pending = true
    } else if (hasFailed(pod, spec)) {
      const { action } = judgeFailure(pod, spec)
      if (spec.backoffLimitPerIndex !== undefined && index !== undefined) {
        const failures = Number(pod.metadata.annotations?.[FAILURES] ?? 0)
        const spent = action === 'FailIndex' || (action !== 'Ignore' && failures >= spec.backoffLimitPerIndex)
        if (spent && !completedIndexes.has(index)) failedIndexes.add(index)
        // It is from the last Pod that the next one learns how often the index has failed.
        const settled =
          failedIndexes.has(index) || completedIndexes.has(index) || isReplaced(pod, index, pods, completions)
        if (!settled && !isTrue(job.status, 'FailureTarget') && !isTrue(job.status, 'SuccessCriteriaMet')) continue
      }
      if (action === 'Ignore') released.push(release(pod))
      else uncounted.failed.push(uid)
      pending = true
    }
  }
  if (indexed) counted.succeeded = completedIndexes.size
  return {
    succeeded: counted.succeeded + uncounted.succeeded.length,
    failed: counted.failed + uncounted.failed.length,
    counted,
    uncounted,
    completedIndexes,
    failedIndexes,
    released,
    pending,
  }
}

function isReplaced(pod: PodObject, index: number, pods: readonly PodObject[], completions: number): boolean {
  const total = (one: PodObject): number =>
    Number(one.metadata.annotations?.[FAILURES] ?? 0) + Number(one.metadata.annotations?.[IGNORED_FAILURES] ?? 0)
  return pods.some((other) => other !== pod && indexOf(other, completions) === index && total(other) > total(pod))
}

function release({ metadata }: PodObject): Write {
  const { namespace = '', name = '', uid = '', resourceVersion = '', finalizers = [] } = metadata
  return {
    id: `${writeId('patch', resources.pods, name)} finalizer ${resourceVersion}`,
    verb: 'patch',
    resource: resources.pods,
    batch: 'release pods',
    target: { namespace, name },
    patch: { metadata: { uid, resourceVersion, finalizers: finalizers.filter((finalizer) => finalizer !== TRACKING) } },
  }
}
