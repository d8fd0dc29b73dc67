/** Why a Job is to end before its Pods are done. */
import type { PodObject } from '@caisson/client'
import type { JobSpec, JobStatus } from 'kubernetes-types/batch/v1.d.ts'
import { parseIndexes } from './job-indexes.ts'
import { hasFailed, isIndexed, type JobObject, judgeFailure, restartsOf } from './job-pods.ts'
import type { Tally } from './job-tally.ts'

export interface Verdict {
  type: 'FailureTarget' | 'SuccessCriteriaMet'
  reason: string
  message: string
}

/** Why the Job is to end, where it is. */
export function verdictOf(job: JobObject, pods: readonly PodObject[], tally: Tally, now: number): Verdict | undefined {
  const spec = job.spec as JobSpec
  for (const type of ['SuccessCriteriaMet', 'FailureTarget'] as const) {
    const known = job.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True')
    if (known) return { type, reason: known.reason ?? '', message: known.message ?? '' }
  }
  const fail = (reason: string, message: string): Verdict => ({ type: 'FailureTarget', reason, message })
  for (const pod of pods) {
    if (!hasFailed(pod, spec)) continue
    const { action, message } = judgeFailure(pod, spec)
    if (action === 'FailJob' && message !== undefined) return fail('PodFailurePolicy', message)
  }
  const limit = spec.backoffLimit ?? 6
  const restarted = spec.template.spec?.restartPolicy === 'OnFailure' && restartsOf(pods)
  if (tally.failed > limit || (restarted && (limit === 0 ? restarted > 0 : restarted >= limit))) {
    return fail('BackoffLimitExceeded', 'Job has reached the specified backoff limit')
  }
  if ((deadlineOf(job, job.status) ?? Infinity) <= now) {
    return fail('DeadlineExceeded', 'Job was active longer than specified deadline')
  }
  return isIndexed(spec) ? indexVerdict(spec, tally) : undefined
}

function indexVerdict(spec: JobSpec, { completedIndexes, failedIndexes }: Tally): Verdict | undefined {
  const completions = spec.completions ?? 0
  const fail = (reason: string, message: string): Verdict => ({ type: 'FailureTarget', reason, message })
  if (spec.maxFailedIndexes !== undefined && failedIndexes.size > spec.maxFailedIndexes) {
    const message = 'Job has exceeded the specified maximal number of failed indexes'
    return fail('MaxFailedIndexesExceeded', message)
  }
  if (failedIndexes.size > 0 && failedIndexes.size + completedIndexes.size >= completions) {
    return fail('FailedIndexes', 'Job has failed indexes')
  }
  if (completedIndexes.size === 0) return undefined
  const met = (spec.successPolicy?.rules ?? []).findIndex(({ succeededIndexes, succeededCount }) => {
    if (succeededIndexes === undefined) return succeededCount !== undefined && completedIndexes.size >= succeededCount
    const wanted = parseIndexes(succeededIndexes, completions)
    return wanted.size > 0 && wanted.countIn(completedIndexes) >= (succeededCount ?? wanted.size)
  })
  if (met < 0) return undefined
  return { type: 'SuccessCriteriaMet', reason: 'SuccessPolicy', message: `Matched rules at index ${met}` }
}

/** When the Job has been active for as long as it may be, ms since the epoch. */
export function deadlineOf(job: JobObject, status: JobStatus | undefined): number | undefined {
  const { activeDeadlineSeconds: seconds, suspend } = job.spec ?? {}
  const started = status?.startTime as string | undefined
  return seconds === undefined || suspend || !started ? undefined : Date.parse(started) + seconds * 1000
}
