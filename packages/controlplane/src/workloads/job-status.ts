/** What a Job's status says, and what is announced when it changes. */
import { kubernetesTime } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { PlannedEvent } from '@caisson/controllers'
import type { JobCondition, JobSpec, JobStatus } from 'kubernetes-types/batch/v1.d.ts'
import { isTrue } from './job-conditions.ts'
import { formatIndexes } from './job-indexes.ts'
import { isIndexed, isTerminating, isTracked, type JobObject } from './job-pods.ts'
import type { Tally } from './job-tally.ts'
import type { Verdict } from './job-verdict.ts'
import { isReady, withoutZeros } from './pods.ts'

interface Finishing {
  owned: readonly PodObject[]
  active: readonly PodObject[]
  tally: Tally
  target: Verdict | undefined
  now: number
  /** Nothing is being made or deleted. */
  quiet: boolean
}

export function jobStatus(job: JobObject, finishing: Finishing): { status: JobStatus; events: PlannedEvent[] } {
  const { owned, active, tally, now, quiet } = finishing
  const spec = job.spec as JobSpec
  const before = job.status ?? {}
  const events: PlannedEvent[] = []
  const time = kubernetesTime(now)
  const terminating = owned.filter(isTerminating).length
  let conditions = (before.conditions ?? []) as JobCondition[]
  const say = (type: string, status: string, reason: string, message: string): boolean => {
    const known = conditions.find((condition) => condition.type === type)
    if (known?.status === status && known.reason === reason) return false
    const next = { type, status, lastProbeTime: time, lastTransitionTime: time, reason, message } as never
    conditions = [...conditions.filter((condition) => condition.type !== type), next]
    return true
  }
  const announce = (type: PlannedEvent['type'], reason: string, message: string): void => {
    events.push({ type, reason, action: reason, message })
  }
  const suspended = spec.suspend === true
  const reached =
    spec.completions === undefined
      ? tally.succeeded > 0 && active.length === 0
      : tally.succeeded >= spec.completions && active.length === 0
  const target =
    finishing.target ??
    (quiet && reached && job.metadata.deletionTimestamp === undefined
      ? {
          type: 'SuccessCriteriaMet' as const,
          reason: 'CompletionsReached',
          message: 'Reached expected number of succeeded pods',
        }
      : undefined)
  let startTime = before.startTime as string | undefined
  if (!startTime && !suspended) startTime = time
  if (target) say(target.type, 'True', target.reason, target.message)
  else if (suspended) {
    if (say('Suspended', 'True', 'JobSuspended', 'Job suspended')) announce('Normal', 'Suspended', 'Job suspended')
    startTime = undefined
  } else if (isTrue(before, 'Suspended')) {
    say('Suspended', 'False', 'JobResumed', 'Job resumed')
    announce('Normal', 'Resumed', 'Job resumed')
    startTime = time
  }
  const counting = tally.uncounted.succeeded.length + tally.uncounted.failed.length > 0
  const held = owned.some((pod) => isTracked(pod))
  const done =
    target && quiet && !counting && !held && active.length === 0 && terminating === 0 && isTrue(before, target.type)
  let completionTime: string | undefined
  if (done && target.type === 'SuccessCriteriaMet') {
    say('Complete', 'True', target.reason, target.message)
    completionTime = time
    announce('Normal', 'Completed', 'Job completed')
  } else if (done) {
    say('Failed', 'True', target.reason, target.message)
    announce('Warning', target.reason, target.message)
  }
  const failedIndexes = spec.backoffLimitPerIndex === undefined ? undefined : formatIndexes(tally.failedIndexes)
  const { succeeded, failed } = tally.uncounted
  const status = {
    ...(conditions.length > 0 && { conditions }),
    ...(startTime && { startTime }),
    ...(completionTime && { completionTime }),
    ...withoutZeros({ active: active.length, succeeded: tally.counted.succeeded, failed: tally.counted.failed }),
    ready: active.filter(isReady).length,
    terminating,
    ...(isIndexed(spec) &&
      tally.completedIndexes.size > 0 && { completedIndexes: formatIndexes(tally.completedIndexes) }),
    ...(failedIndexes !== undefined && { failedIndexes }),
    uncountedTerminatedPods: { ...(succeeded.length > 0 && { succeeded }), ...(failed.length > 0 && { failed }) },
  }
  return { status: status as JobStatus, events }
}
