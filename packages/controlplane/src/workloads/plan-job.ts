/**
 * Work that ends: how many Pods run, what their ends count for, and when the Job is done. Each Pod that has ended holds a
 * finalizer until its end is in the status, so that none is counted twice and none is forgotten, wherever a crash comes:
 * first its UID goes into `uncountedTerminatedPods`, then the finalizer goes, then the UID becomes part of a number.
 */
import type { KubeObject } from '@caisson/api'
import { type PodObject, resources } from '@caisson/client'
import { nothing, type Plan, type WriteFailure, writeId } from '@caisson/controllers'
import type { JobSpec } from 'kubernetes-types/batch/v1.d.ts'
import { isFinished } from './job-conditions.ts'
import { activeOf, type JobObject } from './job-pods.ts'
import { jobStatus } from './job-status.ts'
import { countEnds } from './job-tally.ts'
import { deadlineOf, verdictOf } from './job-verdict.ts'
import { type Managed, managePods } from './job-writes.ts'
import { claim, deletePod } from './pods.ts'

export interface ObservedJob {
  job: JobObject
  /** Those that it controls, and those of its namespace that nobody does. */
  pods: readonly PodObject[]
  failures: readonly WriteFailure[]
}

const OWN_MANAGER = 'kubernetes.io/job-controller'

export function planJob(observed: ObservedJob, now: number): Plan<object> {
  const { job, failures } = observed
  const spec = job.spec as JobSpec
  if (spec.managedBy !== undefined && spec.managedBy !== OWN_MANAGER) return nothing()
  if (isFinished(job)) return planFinished(job, now)
  const { owned, writes } = claim(
    job as KubeObject,
    spec.selector as never,
    observed.pods as (PodObject & KubeObject)[],
    resources.pods,
  )
  const tally = countEnds(job, owned)
  writes.push(...tally.released)
  const target = verdictOf(job, owned, tally, now)
  const active = activeOf(owned)
  const leaving = job.metadata.deletionTimestamp !== undefined
  const managed: Managed = target
    ? { writes: active.map((pod) => deletePod(pod)) }
    : leaving
      ? { writes: [] }
      : managePods({ job, pods: owned, active, tally, now })
  writes.push(...managed.writes)
  const outcome = jobStatus(job, { owned, active, tally, target, now, quiet: managed.writes.length === 0 })
  const waits = [managed.requeueAt, deadlineOf(job, outcome.status), tally.pending ? now : undefined]
  const requeueAt = waits.flatMap((moment) => moment ?? [])
  return {
    writes,
    status: outcome.status,
    statusEvents: outcome.events,
    statusMayWait: 0,
    retry: failures.length > 0,
    ...(requeueAt.length > 0 && { requeueAt: Math.min(...requeueAt) }),
  }
}

/** A finished Job stays as it is, until its time to live is over. */
function planFinished(job: JobObject, now: number): Plan<object> {
  const ttl = job.spec?.ttlSecondsAfterFinished
  if (ttl === undefined || job.metadata.deletionTimestamp !== undefined) return nothing()
  const end = job.status?.conditions?.find(({ type }) => type === 'Complete' || type === 'Failed')
  const moment = Date.parse((end?.lastTransitionTime as string | undefined) ?? '') + ttl * 1000
  if (moment > now) return nothing(moment)
  const { namespace = '', name = '', uid = '' } = job.metadata
  const id = writeId('delete', resources.jobs, name)
  const propagation = 'Foreground'
  return {
    ...nothing(),
    writes: [{ id, verb: 'delete', resource: resources.jobs, target: { namespace, name }, uid, propagation }],
  }
}
