import { parseCronSchedule } from '@caisson/api'
import { expect, test } from 'vitest'
import type { JobObject } from './job-pods.ts'
import { lastBefore, planCronJob } from './plan-cron-job.ts'

const CREATED = '2026-01-01T00:00:00Z'

function plan(now: string, { spec = {}, status = {}, jobs = [] as JobObject[] } = {}) {
  const metadata = { name: 'tick', namespace: 'default', uid: 'cron', creationTimestamp: CREATED }
  const cronJob = {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata,
    spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template: {} } }, ...spec },
    status,
  }
  const hasJob = (name: string): boolean => jobs.some((job) => job.metadata.name === name)
  const {
    writes,
    status: next,
    statusEvents,
    requeueAt,
  } = planCronJob({ cronJob, jobs, hasJob, failures: [] }, Date.parse(now))
  return {
    writes: writes.map(({ id }) => id),
    status: next,
    events: statusEvents.map(({ reason, message }) => `${reason} ${message}`),
    next: requeueAt === undefined ? undefined : new Date(requeueAt).toISOString().slice(11, 16),
  }
}

function job(minute: number, condition?: string): JobObject {
  const time = `2026-01-01T00:${String(minute).padStart(2, '0')}:00Z`
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: `tick-${Math.floor(Date.parse(time) / 60_000)}`,
      namespace: 'default',
      uid: `job-${minute}`,
      annotations: { 'batch.kubernetes.io/cronjob-scheduled-timestamp': time },
    },
    status: {
      startTime: time,
      ...(condition && { conditions: [{ type: condition, status: 'True' }], completionTime: time }),
    },
  } as JobObject
}

test('nothing is due before the first time', () => {
  expect(plan('2026-01-01T00:04:59Z')).toEqual({ writes: [], status: {}, events: [], next: '00:05' })
})

test('a Job is made when its time has come, once', () => {
  const name = 'tick-29453765'
  expect(plan('2026-01-01T00:05:00Z').writes).toEqual([`create Job ${name}`])
  expect(plan('2026-01-01T00:05:01Z', { jobs: [job(5)] })).toMatchObject({
    writes: [],
    status: { active: [{ name, uid: 'job-5' }], lastScheduleTime: '2026-01-01T00:05:00Z' },
  })
  expect(plan('2026-01-01T00:05:01Z', { status: { lastScheduleTime: '2026-01-01T00:05:00Z' } }).writes).toEqual([])
})

test('of many missed times only the last is made up for, and none that is too late', () => {
  expect(plan('2026-01-01T00:59:00Z').writes).toEqual(['create Job tick-29453815'])
  expect(plan('2026-01-01T00:59:00Z', { spec: { startingDeadlineSeconds: 30 } }).writes).toEqual([])
  expect(plan('2026-01-01T00:59:00Z', { spec: { suspend: true } })).toMatchObject({ writes: [], next: undefined })
})

test.each([
  ['Allow', ['create Job tick-29453770']],
  ['Forbid', []],
  // The next one follows when that one goes: the deletion may be refused.
  ['Replace', ['delete Job tick-29453765']],
])('%s with a Job that still runs', (concurrencyPolicy, writes) => {
  const spec = { concurrencyPolicy }
  expect(plan('2026-01-01T00:10:00Z', { spec, jobs: [job(5)] }).writes).toEqual(writes)
})

test('what is replaced has been told to go before the next one comes', () => {
  const { metadata, ...rest } = job(5)
  const leaving = { ...rest, metadata: { ...metadata, deletionTimestamp: '2026-01-01T00:10:00Z' } } as JobObject
  const spec = { concurrencyPolicy: 'Replace' }
  for (const jobs of [[], [leaving]])
    expect(plan('2026-01-01T00:10:00Z', { spec, jobs }).writes).toEqual(['create Job tick-29453770'])
})

test('history is kept as long as asked, and what ended is told', () => {
  const jobs = [job(5, 'Complete'), job(10, 'Complete'), job(15, 'Failed'), job(20, 'Failed')]
  const spec = { successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0 }
  const active = [
    { name: 'tick-29453770', uid: 'job-10' },
    { name: 'gone', uid: 'gone' },
  ]
  expect(plan('2026-01-01T00:21:00Z', { spec, jobs, status: { active } })).toEqual({
    writes: ['delete Job tick-29453765', 'delete Job tick-29453775', 'delete Job tick-29453780'],
    status: { lastScheduleTime: '2026-01-01T00:20:00Z', lastSuccessfulTime: '2026-01-01T00:10:00Z' },
    events: [
      'SawCompletedJob Saw completed job: tick-29453770, condition: Complete',
      'MissingJob Active job went missing: gone',
    ],
    next: '00:25',
  })
})

test.each(['* * * * *', '*/7 * * * *', '0 0 29 2 *', '@every 90s'])(
  '%s: years of missed times take no time',
  (text) => {
    const schedule = parseCronSchedule(text)
    const now = Date.parse('2026-11-03T12:34:56Z')
    const found = lastBefore(schedule, Date.parse('2006-01-01T00:00:00Z'), now) as number
    expect(found).toBeLessThanOrEqual(now)
    expect(schedule.next(found)).toBeGreaterThan(now)
  },
)
