/** Job and CronJob: work that ends. */
import { CronScheduleError, isTimeZone, type KubeObject, parseCronSchedule, selects } from '@caisson/api'
import type { CronJob, CronJobSpec, Job, JobSpec } from 'kubernetes-types/batch/v1.js'
import type { FieldError } from '../../status-error.ts'
import { invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Label } from '../names.ts'
import { type LabelSelector, validateLabelSelector } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import { validateNonNegative } from './amounts.ts'
import { deepEqual } from './deep-equal.ts'
import { immutable } from './immutable.ts'
import { isIndexed, validateJobSpec } from './job-spec.ts'
import { validateJobStatus } from './job-status.ts'
import {
  applyTemplateDefaults,
  dropDisabledTemplateFields,
  isUsable,
  podNameWarnings,
  printedSelector,
  sortedKeys,
  templateWarnings,
  validateSelectorUnchanged,
} from './pod-template.ts'
import { keepSpec } from './replica-set.ts'

const UNLIMITED = 2 ** 31 - 1
const BACKOFF_LIMIT = 6
const LEGACY_LABELS = { name: 'job-name', uid: 'controller-uid' }
const LABELS = { name: 'batch.kubernetes.io/job-name', uid: 'batch.kubernetes.io/controller-uid' }

export const jobStrategy: Strategy = {
  defaultPropagation: 'Orphan',
  defaults(object) {
    const spec = specOf(object)
    applyJobDefaults(spec)
    const labels = spec.template.metadata?.labels
    if (labels && Object.keys(object.metadata.labels ?? {}).length === 0) object.metadata.labels = { ...labels }
  },
  prepareForCreate(object) {
    const { template, manualSelector } = specOf(object)
    // Labels that came from the template go on doing so.
    const { labels } = template.metadata ?? {}
    const same = labels && deepEqual(object.metadata.labels ?? {}, labels)
    if (!manualSelector) generateSelector(object)
    if (same) labelLikeTemplate(object)
    object.status = {}
    dropDisabledTemplateFields(specOf(object).template)
  },
  complete(object) {
    if (Object.keys(object.metadata.labels ?? {}).length === 0) labelLikeTemplate(object)
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    dropDisabledTemplateFields(specOf(next).template)
  },
  prepareForStatusUpdate: keepSpec,
  validate: (object) => validateJob(object, true),
  validateUpdate(next, current) {
    const labels = specOf(current).template.metadata?.labels ?? {}
    const errors = validateJob(next, LABELS.name in labels && LABELS.uid in labels)
    validateJobUpdate(specOf(next), current as unknown as Job & KubeObject, errors)
    return errors
  },
  validateStatusUpdate: (next, current) => validateJobStatus(next as never, current as never),
  warnings(object, current) {
    if (current && deepEqual(object.spec, current.spec)) return []
    const spec = specOf(object)
    return [...(current ? [] : podNameWarnings(object.metadata.name ?? '')), ...jobWarnings(spec, 'spec')]
  },
}

function labelLikeTemplate(object: KubeObject): void {
  const { labels } = specOf(object).template.metadata ?? {}
  if (labels) object.metadata.labels = { ...labels }
}

function specOf(object: KubeObject): JobSpec {
  return object['spec'] as JobSpec
}

function applyJobDefaults(spec: JobSpec): void {
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1
  spec.parallelism ??= 1
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? BACKOFF_LIMIT : UNLIMITED
  spec.completionMode ??= 'NonIndexed'
  spec.suspend ??= false
  spec.podReplacementPolicy ??= spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed'
  spec.manualSelector ??= false
  applyJobTemplateDefaults(spec)
}

function applyJobTemplateDefaults(spec: JobSpec): void {
  applyTemplateDefaults(spec.template)
  for (const rule of spec.podFailurePolicy?.rules ?? []) {
    for (const pattern of rule.onPodConditions ?? []) pattern.status ||= 'True'
  }
}

/** A Job selects by its own UID, so that no two ever take each other's Pods. */
function generateSelector(object: KubeObject): void {
  const spec = specOf(object)
  const { name = '', uid = '' } = object.metadata
  const metadata = (spec.template.metadata ??= {})
  metadata.labels = {
    [LEGACY_LABELS.name]: name,
    [LABELS.name]: name,
    [LEGACY_LABELS.uid]: uid,
    [LABELS.uid]: uid,
    ...metadata.labels,
  }
  spec.selector = { ...spec.selector, matchLabels: { [LABELS.uid]: uid, ...spec.selector?.matchLabels } }
}

function validateJob(object: KubeObject, prefixed: boolean): FieldError[] {
  const errors: FieldError[] = []
  const spec = specOf(object)
  const selector = spec.selector as LabelSelector | undefined
  if (!spec.manualSelector && selector) validateGenerated(object, selector, prefixed, errors)
  validateJobSpec(spec, 'spec', errors)
  if (!selector) errors.push(required('spec.selector'))
  else {
    validateLabelSelector(selector, 'spec.selector', errors)
  }
  const { labels } = spec.template.metadata ?? {}
  if (isUsable(selector) && !selects(selector, labels)) {
    const said = '`selector` does not match template `labels`'
    errors.push(invalidValue('spec.template.metadata.labels', labels ? sortedKeys(labels) : null, said))
  }
  if (isIndexed(spec) && (spec.completions ?? 0) > 0) {
    const { name = '' } = object.metadata
    const longest = `${name}-${(spec.completions as number) - 1}`
    if (dns1123Label(longest).length) {
      const said = `will not able to create pod with invalid DNS label: ${longest}`
      errors.push(invalidValue('metadata.name', name, said))
    }
  }
  return errors
}

function validateGenerated(
  { metadata: { name = '', uid = '' }, ...object }: KubeObject,
  selector: LabelSelector,
  prefixed: boolean,
  errors: FieldError[],
): void {
  const path = 'spec.template.metadata'
  const labels = (object['spec'] as JobSpec).template.metadata?.labels ?? {}
  const expected: Record<string, string> = {}
  for (const [key, value] of [
    [LEGACY_LABELS.uid, uid],
    [LEGACY_LABELS.name, name],
    ...(prefixed
      ? [
          [LABELS.uid, uid],
          [LABELS.name, name],
        ]
      : []),
  ] as Array<[string, string]>) {
    expected[key] = value
    if (!Object.hasOwn(labels, key)) errors.push(required(`${path}.labels[${key}]`, `must be '${value}'`))
    else if (labels[key] !== value) {
      errors.push(invalidValue(`${path}.labels[${key}]`, sortedKeys(labels), `must be '${value}'`))
    }
  }
  if (isUsable(selector) && !selects(selector, expected)) {
    errors.push(invalidValue('spec.selector', printedSelector(selector), '`selector` not auto-generated'))
  }
}

function validateJobUpdate(spec: JobSpec, current: Job & KubeObject, errors: FieldError[]): void {
  const before = current.spec as JobSpec
  if (!isIndexed(spec)) immutable(spec.completions, before.completions, 'spec.completions', errors)
  else if (spec.completions !== undefined && spec.completions !== before.completions) {
    if (spec.completions !== spec.parallelism) {
      const said = 'can only be modified in tandem with spec.parallelism'
      errors.push(invalidValue('spec.completions', spec.completions, said))
    }
  }
  validateSelectorUnchanged(spec.selector, before.selector, errors)
  const notStarted = before.suspend === true && current.status?.startTime === undefined
  const template = notStarted ? withSchedulingOf(before, spec) : before.template
  immutable(spec.template, template, 'spec.template', errors)
  for (const field of [
    'completionMode',
    'podFailurePolicy',
    'backoffLimitPerIndex',
    'managedBy',
    'successPolicy',
  ] as const) {
    immutable(spec[field], before[field], `spec.${field}`, errors)
  }
}

/** Before it has started for the first time, a suspended Job may be told where to run. */
function withSchedulingOf({ template }: JobSpec, next: JobSpec): JobSpec['template'] {
  const wanted = next.template
  const { nodeAffinity: _old, ...others } = template.spec?.affinity ?? {}
  const nodeAffinity = wanted.spec?.affinity?.nodeAffinity
  const affinity = { ...others, ...(nodeAffinity && { nodeAffinity }) }
  const fields = ['nodeSelector', 'tolerations', 'schedulingGates'] as const
  const { affinity: _affinity, nodeSelector: _n, tolerations: _t, schedulingGates: _s, ...rest } = template.spec ?? {}
  const scheduling = Object.fromEntries(
    fields.flatMap((field) => {
      const value = wanted.spec?.[field]
      return value === undefined ? [] : [[field, value]]
    }),
  )
  return {
    ...template,
    metadata: {
      ...template.metadata,
      ...(wanted.metadata?.labels ? { labels: wanted.metadata.labels } : { labels: undefined as never }),
      ...(wanted.metadata?.annotations
        ? { annotations: wanted.metadata.annotations }
        : { annotations: undefined as never }),
    },
    spec: {
      ...rest,
      ...scheduling,
      ...((Object.keys(affinity).length > 0 || wanted.spec?.affinity) && { affinity }),
    } as never,
  }
}

const SOFT_LIMIT_COMPLETIONS = 100_000
const SOFT_LIMIT_PARALLELISM = 10_000

function jobWarnings(spec: JobSpec, path: string): string[] {
  const many = (spec.completions ?? 0) > SOFT_LIMIT_COMPLETIONS && (spec.parallelism ?? 0) > SOFT_LIMIT_PARALLELISM
  const said =
    'In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail'
  return [
    ...(isIndexed(spec) && many ? [`${path}: ${said}`] : []),
    ...templateWarnings(spec.template, `${path}.template`),
  ]
}

const HISTORY_OF_SUCCESS = 3
const HISTORY_OF_FAILURE = 1
/** A Job's name is its CronJob's with a dash and ten digits, and has room for 63 characters. */
const LONGEST_NAME = 52

export const cronJobStrategy: Strategy = {
  defaults(object) {
    const spec = cronSpecOf(object)
    spec.concurrencyPolicy ||= 'Allow'
    spec.suspend ??= false
    spec.successfulJobsHistoryLimit ??= HISTORY_OF_SUCCESS
    spec.failedJobsHistoryLimit ??= HISTORY_OF_FAILURE
    applyJobTemplateDefaults(jobSpecOf(spec))
  },
  prepareForCreate(object) {
    object.status = {}
    dropDisabledTemplateFields(jobSpecOf(cronSpecOf(object)).template)
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    dropDisabledTemplateFields(jobSpecOf(cronSpecOf(next)).template)
  },
  prepareForStatusUpdate: keepSpec,
  validate(object) {
    const errors = validateCronJob(cronSpecOf(object), undefined)
    const { name = '' } = object.metadata
    if (Buffer.byteLength(name) > LONGEST_NAME) {
      errors.push(invalidValue('metadata.name', name, `must be no more than ${LONGEST_NAME} characters`))
    }
    return errors
  },
  validateUpdate: (next, current) => validateCronJob(cronSpecOf(next), cronSpecOf(current)),
  warnings(object, current) {
    const path = 'spec.jobTemplate.spec'
    const changed = !current || !deepEqual(object.spec, current.spec)
    const spec = cronSpecOf(object)
    const zone = current && spec.schedule.includes('TZ')
    return [
      ...(current ? [] : podNameWarnings(object.metadata.name ?? '')),
      ...(changed ? jobWarnings(jobSpecOf(spec), path) : []),
      ...(zone
        ? [
            'cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details',
          ]
        : []),
    ]
  },
}

function cronSpecOf(object: KubeObject): CronJobSpec {
  return (object as unknown as CronJob).spec as CronJobSpec
}

function jobSpecOf({ jobTemplate }: CronJobSpec): JobSpec {
  return jobTemplate.spec as JobSpec
}

const CONCURRENCY = ['Allow', 'Forbid', 'Replace']

function validateCronJob(spec: CronJobSpec, current: CronJobSpec | undefined): FieldError[] {
  const errors: FieldError[] = []
  const { schedule, timeZone, concurrencyPolicy = '' } = spec
  if (!schedule) errors.push(required('spec.schedule'))
  else validateSchedule(schedule, timeZone, current?.schedule.includes('TZ') ?? false, errors)
  validateNonNegative(spec.startingDeadlineSeconds, 'spec.startingDeadlineSeconds', errors)
  if (!current || current.timeZone !== timeZone) validateTimeZone(timeZone, errors)
  if (!concurrencyPolicy) errors.push(required('spec.concurrencyPolicy'))
  else if (!CONCURRENCY.includes(concurrencyPolicy)) {
    errors.push(notSupported('spec.concurrencyPolicy', concurrencyPolicy, CONCURRENCY))
  }
  const path = 'spec.jobTemplate.spec'
  const job = jobSpecOf(spec)
  validateJobSpec(job, path, errors)
  if (job.selector) {
    const printed = printedSelector(job.selector as LabelSelector)
    errors.push(invalidValue(`${path}.selector`, printed, '`selector` will be auto-generated'))
  }
  if (job.manualSelector) errors.push(notSupported(`${path}.manualSelector`, true, ['nil', 'false']))
  validateNonNegative(spec.successfulJobsHistoryLimit, 'spec.successfulJobsHistoryLimit', errors)
  validateNonNegative(spec.failedJobsHistoryLimit, 'spec.failedJobsHistoryLimit', errors)
  return errors
}

function validateSchedule(
  schedule: string,
  timeZone: string | undefined,
  allowZone: boolean,
  errors: FieldError[],
): void {
  const path = 'spec.schedule'
  try {
    parseCronSchedule(schedule)
  } catch (error) {
    if (!(error instanceof CronScheduleError)) throw error
    errors.push(invalidValue(path, schedule, error.message))
  }
  if (!schedule.includes('TZ')) return
  if (!allowZone) {
    errors.push(invalidValue(path, schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'))
  } else if (timeZone !== undefined) {
    errors.push(invalidValue(path, schedule, 'cannot use both timeZone field and TZ or CRON_TZ in schedule'))
  }
}

function validateTimeZone(zone: string | undefined, errors: FieldError[]): void {
  const path = 'spec.timeZone'
  if (zone === undefined) return
  if (zone === '') {
    errors.push(invalidValue(path, zone, 'timeZone must be nil or non-empty string'))
    return
  }
  const fits = zone.split('/').every((part) => /^(?!-)(?!\.{1,2}$)[A-Za-z.\-_0-9+]{1,14}$/.test(part))
  if (!fits) {
    errors.push(invalidValue(path, zone, `unknown time zone ${zone}`))
    return
  }
  if (zone.toLowerCase() === 'local') {
    const said = 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones'
    errors.push(invalidValue(path, zone, said))
    if (zone === 'Local') return
  }
  if (!isTimeZone(zone)) errors.push(invalidValue(path, zone, `unknown time zone ${zone}`))
}
