/** What is asked of a Job's status: whoever manages the Job, it cannot lie to those who wait for it. */
import type { KubeObject } from '@caisson/api'
import type { Job, JobSpec, JobStatus } from 'kubernetes-types/batch/v1.js'
import type { FieldError } from '../../status-error.ts'
import { duplicate, invalidValue, omittedValue, required } from '../field-error.ts'
import { validateNonNegative } from './amounts.ts'
import { deepEqual } from './deep-equal.ts'
import { countIndexes, overlappingIndex } from './job-indexes.ts'
import { isIndexed } from './job-spec.ts'

type StoredJob = Job & KubeObject

/** `next` and `current` share their spec. A rule about fields that have not changed is not asked again. */
export function validateJobStatus(next: StoredJob, current: StoredJob): FieldError[] {
  const errors: FieldError[] = []
  const change: Change = {
    spec: next.spec as JobSpec,
    status: next.status ?? {},
    before: current.status ?? {},
    is: (type) => isTrue(next.status, type),
    was: (type) => isTrue(current.status, type),
    errors,
  }
  validateNumbers(change)
  validateConditions(change)
  validateTimes(change)
  validateIndexes(change)
  validateTransitions(change)
  return errors
}

interface Change {
  spec: JobSpec
  status: JobStatus
  before: JobStatus
  is(type: string): boolean
  was(type: string): boolean
  errors: FieldError[]
}

function isTrue(status: JobStatus | undefined, type: string): boolean {
  return status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false
}

function isFinished(holds: (type: string) => boolean): boolean {
  return holds('Complete') || holds('Failed')
}

function changed({ status, before }: Change, ...fields: (keyof JobStatus)[]): boolean {
  return fields.some((field) => !deepEqual(status[field], before[field]))
}

function validateNumbers(change: Change): void {
  const { status, errors, is, was } = change
  for (const field of ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const) {
    validateNonNegative(status[field], `status.${field}`, errors)
  }
  const seen = new Set<string>()
  for (const field of ['succeeded', 'failed'] as const) {
    status.uncountedTerminatedPods?.[field]?.forEach((uid, index) => {
      const at = `status.uncountedTerminatedPods.${field}[${index}]`
      if (uid === '') errors.push(invalidValue(at, uid, 'must not be empty'))
      else if (seen.has(uid)) errors.push(duplicate(at, uid))
      seen.add(uid)
    })
  }
  const finished = isFinished(is)
  const justFinished = finished !== isFinished(was)
  const { active = 0, terminating = 0, ready } = status
  if (finished && active > 0 && (justFinished || changed(change, 'active'))) {
    errors.push(invalidValue('status.active', active, 'active>0 is invalid for finished job'))
  }
  if (finished && terminating > 0 && (justFinished || changed(change, 'terminating'))) {
    errors.push(invalidValue('status.terminating', terminating, 'terminating>0 is invalid for finished job'))
  }
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {}
  if (
    finished &&
    succeeded.length + failed.length > 0 &&
    (justFinished || changed(change, 'uncountedTerminatedPods'))
  ) {
    const printed = { Succeeded: succeeded.length ? succeeded : null, Failed: failed.length ? failed : null }
    errors.push(invalidValue('status.uncountedTerminatedPods', printed, 'must be empty for finished job'))
  }
  if (ready !== undefined && ready > active && changed(change, 'ready', 'active')) {
    errors.push(invalidValue('status.ready', ready, 'cannot set more ready pods than active'))
  }
}

const CONDITIONS = 'status.conditions'

function validateConditions(change: Change): void {
  const { spec, errors, is, was } = change
  const turned = (type: string): boolean => is(type) !== was(type)
  const refuse = (said: string): void => {
    errors.push(omittedValue(CONDITIONS, said))
  }
  if (is('Complete') && is('Failed') && (turned('Complete') || turned('Failed'))) {
    refuse('cannot set Complete=True and Failed=true conditions')
  }
  if (is('Complete') && is('FailureTarget') && (turned('Complete') || turned('FailureTarget'))) {
    refuse('cannot set Complete=True and FailureTarget=true conditions')
  }
  if (is('Failed') && !is('FailureTarget') && (turned('Failed') || changed(change, 'failedIndexes'))) {
    refuse('cannot set Failed=True condition without the FailureTarget=true condition')
  }
  if (is('Complete') && !is('SuccessCriteriaMet') && (turned('Complete') || turned('SuccessCriteriaMet'))) {
    refuse('cannot set Complete=True condition without the SuccessCriteriaMet=true condition')
  }
  if (is('SuccessCriteriaMet') && is('Failed')) refuse('cannot set SuccessCriteriaMet=True and Failed=true conditions')
  if (is('SuccessCriteriaMet') && is('FailureTarget')) {
    refuse('cannot set SuccessCriteriaMet=True and FailureTarget=true conditions')
  }
  if (spec.successPolicy && is('Complete') && !is('SuccessCriteriaMet')) {
    refuse('cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True')
  }
}

function validateTimes(change: Change): void {
  const { spec, status, errors, is, was } = change
  const { startTime, completionTime } = status as { startTime?: string; completionTime?: string }
  const turned = is('Complete') !== was('Complete')
  if (turned || changed(change, 'completionTime')) {
    if (completionTime && !is('Complete')) {
      const said = 'cannot set completionTime when there is no Complete=True condition'
      errors.push(invalidValue('status.completionTime', completionTime, said))
    }
    if (!completionTime && is('Complete')) {
      errors.push(required('status.completionTime', 'completionTime is required for Complete jobs'))
    }
  }
  if (startTime && completionTime && Date.parse(completionTime) < Date.parse(startTime)) {
    if (changed(change, 'startTime', 'completionTime')) {
      errors.push(invalidValue('status.completionTime', completionTime, 'must be equal to or after `startTime`'))
    }
  }
  const finished = isFinished(is)
  const nothingToDo = spec.suspend === true && spec.completions === 0
  if (finished && !startTime && !nothingToDo && (finished !== isFinished(was) || changed(change, 'startTime'))) {
    errors.push(required('status.startTime', 'startTime is required for finished job'))
  }
}

function validateIndexes(change: Change): void {
  const { spec, status, errors } = change
  const { completions } = spec
  const { completedIndexes = '' } = status
  const { failedIndexes } = status as { failedIndexes?: string }
  const check = (text: string, field: string): void => {
    try {
      countIndexes(text, completions as number)
    } catch (error) {
      const said = `error parsing ${field}: ${(error as Error).message}`
      errors.push(invalidValue(`status.${field}`, text, said))
    }
  }
  if (changed(change, 'completedIndexes')) {
    if (completions !== undefined) check(completedIndexes, 'completedIndexes')
    if (completedIndexes !== '' && !isIndexed(spec)) {
      const said = 'cannot set non-empty completedIndexes when non-indexed completion mode'
      errors.push(invalidValue('status.completedIndexes', completedIndexes, said))
    }
  }
  if (failedIndexes === undefined) return
  if (changed(change, 'failedIndexes')) {
    if (completions !== undefined && spec.backoffLimitPerIndex !== undefined) check(failedIndexes, 'failedIndexes')
    if (spec.backoffLimitPerIndex === undefined) {
      const said = 'cannot set non-null failedIndexes when backoffLimitPerIndex is null'
      errors.push(invalidValue('status.failedIndexes', failedIndexes, said))
    }
  }
  if (completions === undefined || !changed(change, 'failedIndexes', 'completedIndexes')) return
  const overlap = overlappingIndex(completedIndexes, failedIndexes, completions)
  if (overlap !== undefined) {
    const said = `failedIndexes and completedIndexes overlap at index: ${overlap}`
    errors.push(invalidValue('status.failedIndexes', failedIndexes, said))
  }
}

function validateTransitions(change: Change): void {
  const { spec, status, before, errors, is, was } = change
  for (const type of ['Failed', 'Complete', 'FailureTarget']) {
    if (was(type) && !is(type)) {
      errors.push(omittedValue(CONDITIONS, `cannot disable the terminal ${type}=True condition`))
    }
  }
  if ((status.failed ?? 0) < (before.failed ?? 0)) {
    errors.push(invalidValue('status.failed', status.failed ?? 0, 'cannot decrease the failed counter'))
  }
  const elastic = isIndexed(spec) && spec.completions === spec.parallelism
  if (!elastic && (status.succeeded ?? 0) < (before.succeeded ?? 0)) {
    errors.push(invalidValue('status.succeeded', status.succeeded ?? 0, 'cannot decrease the succeeded counter'))
  }
  if (status.completionTime && before.completionTime && changed(change, 'completionTime')) {
    errors.push(invalidValue('status.completionTime', status.completionTime, 'field is immutable'))
  }
  const resuming =
    was('Suspended') && status.conditions?.some(({ type, status: is }) => type === 'Suspended' && is === 'False')
  if (before.startTime && changed(change, 'startTime') && !spec.suspend && !resuming) {
    errors.push(required('status.startTime', 'startTime cannot be removed for unsuspended job'))
  }
  if (was('SuccessCriteriaMet') && !is('SuccessCriteriaMet')) {
    errors.push(omittedValue(CONDITIONS, 'cannot disable the SuccessCriteriaMet=True condition'))
  }
  if (was('Complete') && !was('SuccessCriteriaMet') && is('SuccessCriteriaMet')) {
    const said = 'cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions'
    errors.push(omittedValue(CONDITIONS, said))
  }
}
