/**
 * Work that ends: how many Pods run, what their ends count for, and when the Job is done. Each Pod that has ended holds a
 * finalizer until its end is in the status, so that none is counted twice and none is forgotten, wherever a crash comes:
 * first its UID goes into `uncountedTerminatedPods`, then the finalizer goes, then the UID becomes part of a number.
 */
import { isConditionTrue, type KubeObject, kubernetesTime } from '@caisson/api'
import { type PodObject, resources } from '@caisson/client'
import { nothing, type Plan, type PlannedEvent, type Write, type WriteFailure, writeId } from '@caisson/controllers'
import type { JobCondition, JobSpec, JobStatus } from 'kubernetes-types/batch/v1.d.ts'
import { leastMissed } from './deletion-order.ts'
import { formatIndexes, parseIndexes } from './job-indexes.ts'
import {
  activeOf,
  backOffUntil,
  FAILURES,
  hasFailed,
  IGNORED_FAILURES,
  INDEX,
  indexBackOffUntil,
  indexOf,
  isIndexed,
  isTerminating,
  isTracked,
  type JobObject,
  judgeFailure,
  replacesOnlyFailed,
  restartsOf,
} from './job-pods.ts'
import { TRACKING } from './job-tracking.ts'
import { claim, createPod, deletePod, isReady, podFrom, withoutZeros } from './pods.ts'

export interface ObservedJob {
  job: JobObject
  /** Those that it controls, and those of its namespace that nobody does. */
  pods: readonly PodObject[]
  failures: readonly WriteFailure[]
}

const BURST = 500
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
  const tally = count(job, owned)
  writes.push(...tally.released)
  const target = verdictOf(job, owned, tally, now)
  const active = activeOf(owned)
  const leaving = job.metadata.deletionTimestamp !== undefined
  const managed: Managed = target
    ? { writes: active.map((pod) => deletePod(pod)) }
    : leaving
      ? { writes: [] }
      : manage({ job, pods: owned, active, tally, now })
  writes.push(...managed.writes)
  const outcome = finish(job, { owned, active, tally, target, now, quiet: managed.writes.length === 0 })
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

export function isFinished({ status }: JobObject): boolean {
  return isTrue(status, 'Complete') || isTrue(status, 'Failed')
}

function isTrue(status: JobStatus | undefined, type: string): boolean {
  return isConditionTrue(status?.conditions as never, type)
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

interface Tally {
  succeeded: number
  failed: number
  /** What the status is to say. */
  counted: { succeeded: number; failed: number }
  uncounted: { succeeded: string[]; failed: string[] }
  completedIndexes: Set<number>
  failedIndexes: Set<number>
  /** Finalizers that may go, since what they hold has been counted. */
  released: Write[]
  /** Something is to be done as soon as the status is written. */
  pending: boolean
}

/** Counts the ends of Pods, each once. */
function count(job: JobObject, pods: readonly PodObject[]): Tally {
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
  const completedIndexes = new Set(before)
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

interface Verdict {
  type: 'FailureTarget' | 'SuccessCriteriaMet'
  reason: string
  message: string
}

/** Why the Job is to end, where it is. */
function verdictOf(job: JobObject, pods: readonly PodObject[], tally: Tally, now: number): Verdict | undefined {
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
    const reached = [...wanted].filter((index) => completedIndexes.has(index)).length
    return wanted.size > 0 && reached >= (succeededCount ?? wanted.size)
  })
  if (met < 0) return undefined
  return { type: 'SuccessCriteriaMet', reason: 'SuccessPolicy', message: `Matched rules at index ${met}` }
}

function deadlineOf(job: JobObject, status: JobStatus | undefined): number | undefined {
  const { activeDeadlineSeconds: seconds, suspend } = job.spec ?? {}
  const started = status?.startTime as string | undefined
  return seconds === undefined || suspend || !started ? undefined : Date.parse(started) + seconds * 1000
}

interface Managed {
  writes: Write[]
  requeueAt?: number
}

interface Managing {
  job: JobObject
  pods: readonly PodObject[]
  active: readonly PodObject[]
  tally: Tally
  now: number
}

/** As many Pods as there should be: some made, or some deleted, never both at once. */
function manage(managing: Managing): Managed {
  const { job, pods, active, tally, now } = managing
  const spec = job.spec as JobSpec
  if (spec.suspend) return { writes: active.map((pod) => deletePod(pod)) }
  const parallelism = spec.parallelism ?? 1
  const wanted =
    spec.completions === undefined
      ? tally.succeeded > 0
        ? active.length
        : parallelism
      : Math.max(0, Math.min(parallelism, spec.completions - tally.succeeded))
  const extra = surplus(managing, Math.max(0, active.length - wanted))
  if (extra.length) return { writes: extra.slice(0, BURST).map((pod) => deletePod(pod)) }
  const terminating = replacesOnlyFailed(spec) ? pods.filter(isTerminating).length : 0
  const missing = Math.min(wanted - terminating - active.length, BURST)
  if (missing <= 0) return { writes: [] }
  if (spec.backoffLimitPerIndex !== undefined && isIndexed(spec)) return createPerIndex(managing, missing)
  const until = backOffUntil(pods, spec)
  if (until > now) return { writes: [], requeueAt: until }
  if (!isIndexed(spec)) {
    const pod = podFrom(spec.template, job as KubeObject, { finalizers: [TRACKING] })
    return { writes: Array.from({ length: missing }, (_, index) => createPod(pod, index)) }
  }
  return {
    writes: pendingIndexes(managing, missing).map((index) => createPod(indexedPod(job, index, {}), `index ${index}`)),
  }
}

/** Pods of an index that another one has, or that is not wanted any more, and then as many as are too many. */
function surplus({ job, active, now }: Managing, least: number): PodObject[] {
  const spec = job.spec as JobSpec
  const order = { related: active, now }
  if (!isIndexed(spec)) return leastMissed(active, least, order)
  const seen = new Set<number>()
  const unfit: PodObject[] = []
  const fit: PodObject[] = []
  for (const pod of leastMissed(active, active.length, order).reverse()) {
    const index = indexOf(pod, spec.completions ?? 0)
    if (index === undefined || seen.has(index)) unfit.push(pod)
    else {
      seen.add(index)
      fit.push(pod)
    }
  }
  return [...unfit, ...leastMissed(fit, Math.max(0, least - unfit.length), order)]
}

function pendingIndexes({ job, pods, active, tally }: Managing, most: number): number[] {
  const spec = job.spec as JobSpec
  const completions = spec.completions ?? 0
  const running = replacesOnlyFailed(spec) ? [...active, ...pods.filter(isTerminating)] : active
  const taken = new Set(running.map((pod) => indexOf(pod, completions)))
  const pending: number[] = []
  for (let index = 0; index < completions && pending.length < most; index++) {
    if (!taken.has(index) && !tally.completedIndexes.has(index) && !tally.failedIndexes.has(index)) pending.push(index)
  }
  return pending
}

function createPerIndex(managing: Managing, missing: number): Managed {
  const { job, pods, now } = managing
  const spec = job.spec as JobSpec
  const completions = spec.completions ?? 0
  const writes: Write[] = []
  const waits: number[] = []
  for (const index of pendingIndexes(managing, completions)) {
    if (writes.length >= missing) break
    const last = lastFailed(pods, index, spec)
    const until = indexBackOffUntil(last)
    if (until > now) waits.push(until)
    else writes.push(createPod(indexedPod(job, index, failureCounts(last, spec)), `index ${index}`))
  }
  return { writes, ...(waits.length > 0 && { requeueAt: Math.min(...waits) }) }
}

function lastFailed(pods: readonly PodObject[], index: number, spec: JobSpec): PodObject | undefined {
  const total = ({ metadata }: PodObject): number =>
    Number(metadata.annotations?.[FAILURES] ?? 0) + Number(metadata.annotations?.[IGNORED_FAILURES] ?? 0)
  return pods
    .filter((pod) => hasFailed(pod, spec) && indexOf(pod, spec.completions ?? 0) === index)
    .sort((a, b) => total(b) - total(a))[0]
}

function failureCounts(last: PodObject | undefined, spec: JobSpec): Record<string, string> {
  if (!last) return { [FAILURES]: '0' }
  const ignored = judgeFailure(last, spec).action === 'Ignore'
  const [failures, others] = [FAILURES, IGNORED_FAILURES].map((key) =>
    Number(last.metadata.annotations?.[key] ?? 0),
  ) as [number, number]
  const nextIgnored = others + (ignored ? 1 : 0)
  return {
    [FAILURES]: String(failures + (ignored ? 0 : 1)),
    ...(nextIgnored > 0 && { [IGNORED_FAILURES]: String(nextIgnored) }),
  }
}

const INDEX_VARIABLE = {
  name: 'JOB_COMPLETION_INDEX',
  valueFrom: { fieldRef: { fieldPath: `metadata.labels['${INDEX}']` } },
}

function indexedPod(job: JobObject, index: number, annotations: Record<string, string>): KubeObject {
  const spec = job.spec as JobSpec
  const { name = '' } = job.metadata
  const own = { [INDEX]: String(index) }
  const pod = podFrom(spec.template, job as KubeObject, {
    labels: own,
    annotations: { ...own, ...annotations },
    finalizers: [TRACKING],
  })
  const { containers = [], initContainers, ...rest } = spec.template.spec ?? {}
  const withIndex = (container: (typeof containers)[number]): (typeof containers)[number] =>
    container.env?.some((variable) => variable.name === INDEX_VARIABLE.name)
      ? container
      : { ...container, env: [...(container.env ?? []), INDEX_VARIABLE] }
  return {
    ...pod,
    metadata: { ...pod.metadata, generateName: `${name}-${index}-` },
    spec: {
      ...rest,
      containers: containers.map(withIndex),
      ...(initContainers && { initContainers: initContainers.map(withIndex) }),
      hostname: `${name}-${index}`,
    },
  }
}

interface Finishing {
  owned: readonly PodObject[]
  active: readonly PodObject[]
  tally: Tally
  target: Verdict | undefined
  now: number
  /** Nothing is being made or deleted. */
  quiet: boolean
}

function finish(job: JobObject, finishing: Finishing): { status: JobStatus; events: PlannedEvent[] } {
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
