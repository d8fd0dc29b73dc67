/** Jobs on a schedule: which one is due now, which are history, and when to look again. */
import {
  type CronSchedule,
  CronScheduleError,
  controllerReference,
  isTimeZone,
  type KubeObject,
  kubernetesTime,
  parseCronSchedule,
} from '@caisson/api'
import { resources, type Typed } from '@caisson/client'
import { nothing, type Plan, type PlannedEvent, type Write, type WriteFailure, writeId } from '@caisson/controllers'
import type { CronJob, CronJobSpec, CronJobStatus } from 'kubernetes-types/batch/v1.d.ts'
import { isFinished } from './job-conditions.ts'
import type { JobObject } from './job-pods.ts'

export interface ObservedCronJob {
  cronJob: Typed<CronJob>
  /** Those that it controls. */
  jobs: readonly JobObject[]
  /** Whether a Job of that name is there, whoever made it. */
  hasJob(name: string): boolean
  failures: readonly WriteFailure[]
}

const SCHEDULED = 'batch.kubernetes.io/cronjob-scheduled-timestamp'
const MINUTE = 60_000
/** More missed times than this are told: the clock may be wrong. */
const MANY_MISSED = 100

export function planCronJob(observed: ObservedCronJob, now: number): Plan<object> {
  const { cronJob, failures } = observed
  const spec = cronJob.spec as CronJobSpec
  const { status, events } = statusOf(observed)
  const plan: Plan<object> = {
    ...nothing(),
    writes: history(observed),
    status,
    statusEvents: events,
    retry: failures.length > 0,
  }
  if (cronJob.metadata.deletionTimestamp !== undefined || spec.suspend) return plan
  let schedule: CronSchedule
  try {
    schedule = parseSchedule(spec)
  } catch (error) {
    if (!(error instanceof CronScheduleError)) throw error
    // Told once: until it changes there is nothing to do about it.
    return plan
  }
  const next = schedule.next(now)
  if (next !== undefined) plan.requeueAt = next
  const due = dueTime(observed, schedule, now)
  if (due === undefined) return plan
  const name = `${cronJob.metadata.name}-${Math.floor(due / MINUTE)}`
  const known = Date.parse((status.lastScheduleTime as string | undefined) ?? '')
  if (observed.hasJob(name) || known >= due) return plan
  const running = observed.jobs.filter((job) => !isFinished(job) && job.metadata.deletionTimestamp === undefined)
  if (spec.concurrencyPolicy === 'Forbid' && running.length > 0) return plan
  // The next one follows once these have been told to go, which may be refused.
  if (spec.concurrencyPolicy === 'Replace' && running.length > 0) plan.writes.push(...running.map(deleteJob))
  else plan.writes.push(createJob(cronJob, name, due))
  return plan
}

function parseSchedule({ schedule, timeZone }: CronJobSpec): CronSchedule {
  if (timeZone !== undefined && !isTimeZone(timeZone)) throw new CronScheduleError(`unknown time zone ${timeZone}`)
  return parseCronSchedule(schedule, timeZone)
}

/** The last scheduled time that has passed, and for which it is not too late; undefined where there is none. */
function dueTime({ cronJob }: ObservedCronJob, schedule: CronSchedule, now: number): number | undefined {
  const { startingDeadlineSeconds } = cronJob.spec ?? {}
  const last = (cronJob.status?.lastScheduleTime as string | undefined) ?? cronJob.metadata.creationTimestamp
  let after = Date.parse(last ?? '')
  if (startingDeadlineSeconds !== undefined) after = Math.max(after, now - startingDeadlineSeconds * 1000)
  return lastBefore(schedule, after, now)
}

/** The last moment of a schedule after `after` and not after `now`. */
export function lastBefore(schedule: CronSchedule, after: number, now: number): number | undefined {
  let found: number | undefined
  let moment = schedule.next(after)
  for (let missed = 0; moment !== undefined && moment <= now; missed++) {
    if (missed === MANY_MISSED && found !== undefined) {
      // Far behind: from now backwards, further each time, instead of through all that was missed.
      for (let back = moment - found; ; back *= 2) {
        const start = Math.max(found, now - back)
        moment = schedule.next(start)
        if (start === found || (moment !== undefined && moment <= now)) break
      }
    }
    found = moment as number
    moment = schedule.next(found)
  }
  return found
}

function createJob(cronJob: Typed<CronJob>, name: string, due: number): Write {
  const { jobTemplate, timeZone } = cronJob.spec as CronJobSpec
  const { namespace = '' } = cronJob.metadata
  const object: KubeObject = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name,
      namespace,
      ...(jobTemplate.metadata?.labels && { labels: { ...jobTemplate.metadata.labels } }),
      annotations: { ...jobTemplate.metadata?.annotations, [SCHEDULED]: inZone(due, timeZone) },
      ownerReferences: [controllerReference(cronJob as KubeObject)],
    },
    spec: jobTemplate.spec,
  }
  return {
    id: writeId('create', resources.jobs, name),
    verb: 'create',
    resource: resources.jobs,
    object,
    event: event('Normal', 'SuccessfulCreate', `Created job ${name}`),
    failureEvent: event('Warning', 'FailedCreate', 'Error creating job: '),
  }
}

/** RFC 3339 with the offset that the zone has then. */
function inZone(moment: number, timeZone = 'UTC'): string {
  const parts = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' }).formatToParts(moment)
  const [, sign, hours = '0', minutes = '0'] =
    /GMT([+-])(\d+):(\d+)/.exec(parts.find(({ type }) => type === 'timeZoneName')?.value ?? '') ?? []
  if (!sign || Number(hours) + Number(minutes) === 0) return kubernetesTime(moment)
  const offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1)
  return kubernetesTime(moment + offset * MINUTE).replace('Z', `${sign}${hours}:${minutes}`)
}

function deleteJob({ metadata: { namespace = '', name = '', uid = '' } }: JobObject): Write {
  return {
    id: writeId('delete', resources.jobs, name),
    verb: 'delete',
    resource: resources.jobs,
    target: { namespace, name },
    uid,
    propagation: 'Background',
    event: event('Normal', 'SuccessfulDelete', `Deleted job ${name}`),
    failureEvent: event('Warning', 'FailedDelete', 'Deleted job: '),
  }
}

function event(type: PlannedEvent['type'], reason: string, message: string): PlannedEvent {
  return { type, reason, action: reason, message }
}

/** Jobs that have ended, beyond as many as are kept, oldest first. */
function history({ cronJob, jobs }: ObservedCronJob): Write[] {
  const { successfulJobsHistoryLimit, failedJobsHistoryLimit } = cronJob.spec ?? {}
  const ended = (type: string): JobObject[] =>
    jobs
      .filter(({ status }) => status?.conditions?.some((one) => one.type === type && one.status === 'True'))
      .sort((a, b) => (startOf(a) < startOf(b) ? -1 : 1))
  const excess = (all: JobObject[], limit: number | undefined): JobObject[] =>
    limit === undefined ? [] : all.slice(0, Math.max(0, all.length - limit))
  return [...excess(ended('Complete'), successfulJobsHistoryLimit), ...excess(ended('Failed'), failedJobsHistoryLimit)]
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((job) => deleteJob(job))
}

function startOf({ metadata, status }: JobObject): string {
  return `${(status?.startTime as string | undefined) ?? '9'}/${metadata.name}`
}

function statusOf({ cronJob, jobs }: ObservedCronJob): { status: CronJobStatus; events: PlannedEvent[] } {
  const before = cronJob.status ?? {}
  const events: PlannedEvent[] = []
  const byUid = new Map(jobs.map((job) => [job.metadata.uid, job]))
  for (const { uid, name } of before.active ?? []) {
    const job = byUid.get(uid)
    if (!job) events.push(event('Normal', 'MissingJob', `Active job went missing: ${name}`))
    else if (isFinished(job)) {
      const condition = isComplete(job) ? 'Complete' : 'Failed'
      events.push(event('Normal', 'SawCompletedJob', `Saw completed job: ${name}, condition: ${condition}`))
    }
  }
  const kept = new Map((before.active ?? []).map((reference) => [reference.uid, reference]))
  const active = jobs
    .filter((job) => !isFinished(job))
    .map(({ apiVersion, kind, metadata: { namespace, name, uid, resourceVersion } }) => {
      return kept.get(uid) ?? { apiVersion, kind, namespace, name, uid, resourceVersion }
    })
    .sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1))
  const scheduled = jobs.map(({ metadata }) => Date.parse(metadata.annotations?.[SCHEDULED] ?? ''))
  const lastSchedule = latest([before.lastScheduleTime as string | undefined], scheduled)
  const completed = jobs
    .filter(isComplete)
    .map(({ status }) => Date.parse((status?.completionTime as string | undefined) ?? ''))
  const lastSuccess = latest([before.lastSuccessfulTime as string | undefined], completed)
  const status = {
    ...(active.length > 0 && { active }),
    ...(lastSchedule !== undefined && { lastScheduleTime: lastSchedule }),
    ...(lastSuccess !== undefined && { lastSuccessfulTime: lastSuccess }),
  }
  return { status: status as CronJobStatus, events }
}

function isComplete({ status }: JobObject): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Complete' && is === 'True') ?? false
}

function latest(texts: readonly (string | undefined)[], moments: readonly number[]): string | undefined {
  const all = [...texts.map((text) => Date.parse(text ?? '')), ...moments].filter((moment) => !Number.isNaN(moment))
  return all.length ? kubernetesTime(Math.max(...all)) : undefined
}
