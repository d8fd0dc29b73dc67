/** The Pods of a Job: which have ended and how, and what its policies say of that. */
import type { PodObject, Typed } from '@caisson/client'
import type { Job, JobSpec, PodFailurePolicyRule } from 'kubernetes-types/batch/v1.d.ts'
import type { ContainerStatus } from 'kubernetes-types/core/v1.d.ts'
import { TRACKING } from './job-tracking.ts'
import { isActive } from './pods.ts'

export type JobObject = Typed<Job>

export const INDEX = 'batch.kubernetes.io/job-completion-index'
export const FAILURES = 'batch.kubernetes.io/job-index-failure-count'
export const IGNORED_FAILURES = 'batch.kubernetes.io/job-index-ignored-failure-count'

export function isIndexed({ completionMode }: JobSpec): boolean {
  return completionMode === 'Indexed'
}

/** Pods are replaced only once they have failed for good, not as soon as they are told to go. */
export function replacesOnlyFailed(spec: JobSpec): boolean {
  return spec.podReplacementPolicy === 'Failed' || spec.podFailurePolicy !== undefined
}

export function hasFailed(pod: PodObject, spec: JobSpec): boolean {
  if (pod.status?.phase === 'Failed') return true
  if (replacesOnlyFailed(spec)) return false
  return pod.metadata.deletionTimestamp !== undefined && pod.status?.phase !== 'Succeeded'
}

export function isTracked({ metadata }: PodObject): boolean {
  return metadata.finalizers?.includes(TRACKING) ?? false
}

export function isTerminating(pod: PodObject): boolean {
  const { phase } = pod.status ?? {}
  return pod.metadata.deletionTimestamp !== undefined && phase !== 'Succeeded' && phase !== 'Failed'
}

/** The completion index of a Pod; undefined where it has none that the Job has. */
export function indexOf({ metadata }: PodObject, completions: number): number | undefined {
  const text = metadata.annotations?.[INDEX]
  if (text === undefined || !/^\d+$/.test(text)) return undefined
  const index = Number(text)
  return index < completions ? index : undefined
}

export interface FailureVerdict {
  action: 'Count' | 'Ignore' | 'FailJob' | 'FailIndex'
  /** Of FailJob. */
  message?: string
}

/** What the Pod failure policy says of a Pod that has failed; it counts where no rule is about it. */
export function judgeFailure(pod: PodObject, spec: JobSpec): FailureVerdict {
  for (const [index, rule] of (spec.podFailurePolicy?.rules ?? []).entries()) {
    const why = reasonFor(pod, rule)
    if (why === undefined) continue
    if (rule.action !== 'FailJob') return { action: rule.action as FailureVerdict['action'] }
    return { action: 'FailJob', message: `${why} matching FailJob rule at index ${index}` }
  }
  return { action: 'Count' }
}

function reasonFor({ metadata, status }: PodObject, rule: PodFailurePolicyRule): string | undefined {
  const { onExitCodes, onPodConditions } = rule
  const pod = `${metadata.namespace}/${metadata.name}`
  if (onExitCodes) {
    const all = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])]
    const found = all.find((container) => matchesExitCode(container, onExitCodes))
    return found && `Container ${found.name} for pod ${pod} failed with exit code ${found.state?.terminated?.exitCode}`
  }
  const condition = status?.conditions?.find(({ type, status: is }) =>
    onPodConditions?.some((pattern) => pattern.type === type && (pattern.status || 'True') === is),
  )
  return condition && `Pod ${pod} has condition ${condition.type}`
}

function matchesExitCode(
  { name, state }: ContainerStatus,
  { containerName, operator, values }: NonNullable<PodFailurePolicyRule['onExitCodes']>,
): boolean {
  const code = state?.terminated?.exitCode
  if (code === undefined || code === 0) return false
  if (containerName !== undefined && containerName !== name) return false
  return values.includes(code) === (operator === 'In')
}

/** Restarts of containers in place, which count against the limit where Pods are restarted. */
export function restartsOf(pods: readonly PodObject[]): number {
  let total = 0
  for (const { status } of pods) {
    if (status?.phase !== 'Running' && status?.phase !== 'Pending') continue
    for (const { restartCount } of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]) {
      total += restartCount
    }
  }
  return total
}

const FIRST_BACK_OFF = 10_000
const LONGEST_BACK_OFF = 600_000

/** When the next Pod may be made after those that failed since the last success, ms since the epoch; 0 for at once. */
export function backOffUntil(pods: readonly PodObject[], spec: JobSpec): number {
  const succeeded = Math.max(0, ...pods.filter(({ status }) => status?.phase === 'Succeeded').map(finishedAt))
  const failed = pods
    .filter((pod) => hasFailed(pod, spec))
    .map(finishedAt)
    .filter((moment) => moment > succeeded)
  if (failed.length === 0) return 0
  return Math.max(...failed) + backOff(failed.length)
}

function backOff(failures: number): number {
  return Math.min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** Math.min(failures - 1, 10))
}

/** The same for one index, whose Pods carry how often it has failed before. */
export function indexBackOffUntil(last: PodObject | undefined): number {
  if (!last) return 0
  const failures =
    Number(last.metadata.annotations?.[FAILURES] ?? 0) + Number(last.metadata.annotations?.[IGNORED_FAILURES] ?? 0)
  return finishedAt(last) + backOff(failures + 1)
}

/** When the last container ended; else when the Pod was told to go, or last changed its readiness. */
function finishedAt({ metadata, status }: PodObject): number {
  const ended = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])].flatMap(
    ({ state }) => {
      const moment = Date.parse((state?.terminated?.finishedAt as string | undefined) ?? '')
      return Number.isNaN(moment) ? [] : [moment]
    },
  )
  if (ended.length) return Math.max(...ended)
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  const moments = [
    metadata.deletionTimestamp,
    ready?.lastTransitionTime as string | undefined,
    metadata.creationTimestamp,
  ]
  return moments.map((moment) => Date.parse(moment ?? '')).find((moment) => !Number.isNaN(moment)) ?? 0
}

export function activeOf(pods: readonly PodObject[]): PodObject[] {
  return pods.filter(isActive)
}
