/** What is asked of the spec of a Job, also inside of a CronJob. */
import type { JobSpec, PodFailurePolicyRule, SuccessPolicyRule } from 'kubernetes-types/batch/v1.js'
import type { FieldError } from '../../status-error.ts'
import { duplicate, invalidValue, notSupported, omittedValue, required, tooLong, tooMany } from '../field-error.ts'
import { qualifiedName } from '../names.ts'
import { validateNonNegative } from './amounts.ts'
import { countIndexes } from './job-indexes.ts'
import { validatePodTemplate } from './pod-template.ts'

const MOST_PARALLEL = 100_000
const MOST_FAILED = 100_000
const MANY_COMPLETIONS = 100_000
const MOST_PARALLEL_OF_MANY = 10_000
const MOST_FAILED_OF_MANY = 10_000
const MOST_RULES = 20
const MOST_EXIT_CODES = 255
const MOST_PATTERNS = 20
const LONGEST_MANAGER = 63
const LONGEST_INDEXES = 64 * 1024

export function isIndexed({ completionMode }: JobSpec): boolean {
  return completionMode === 'Indexed'
}

export function validateJobSpec(spec: JobSpec, path: string, errors: FieldError[]): void {
  for (const field of [
    'parallelism',
    'completions',
    'activeDeadlineSeconds',
    'backoffLimit',
    'ttlSecondsAfterFinished',
    'backoffLimitPerIndex',
    'maxFailedIndexes',
  ] as const) {
    validateNonNegative(spec[field], `${path}.${field}`, errors)
  }
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    errors.push(required(`${path}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified'))
  }
  if (spec.managedBy !== undefined) validateManager(spec.managedBy, `${path}.managedBy`, errors)
  if (spec.completionMode !== undefined && spec.completionMode !== 'NonIndexed' && !isIndexed(spec)) {
    errors.push(notSupported(`${path}.completionMode`, spec.completionMode, ['NonIndexed', 'Indexed']))
  }
  if (isIndexed(spec)) validateIndexed(spec, path, errors)
  else if (spec.completionMode === undefined || spec.completionMode === 'NonIndexed') {
    for (const field of ['backoffLimitPerIndex', 'maxFailedIndexes'] as const) {
      if (spec[field] !== undefined) {
        errors.push(invalidValue(`${path}.${field}`, spec[field], 'requires indexed completion mode'))
      }
    }
  }
  if (spec.podFailurePolicy) validateFailurePolicy(spec, `${path}.podFailurePolicy.rules`, errors)
  if (spec.successPolicy) validateSuccessPolicy(spec, `${path}.successPolicy`, errors)
  validateReplacement(spec, `${path}.podReplacementPolicy`, errors)
  validatePodTemplate(spec.template, `${path}.template`, errors)
  validateRestartPolicy(spec, `${path}.template.spec.restartPolicy`, errors)
}

function validateManager(name: string, path: string, errors: FieldError[]): void {
  const [prefix = '', rest, ...more] = name.split('/')
  if (name === '') errors.push(required(path))
  else if (rest === undefined || more.length || !prefix || !rest) {
    errors.push(invalidValue(path, name, 'must be a domain-prefixed path (such as "acme.io/foo")'))
  }
  if (Buffer.byteLength(name) > LONGEST_MANAGER) errors.push(tooLong(path, LONGEST_MANAGER))
}

function validateIndexed(spec: JobSpec, path: string, errors: FieldError[]): void {
  const { completions, parallelism, maxFailedIndexes, backoffLimitPerIndex } = spec
  const below = (field: 'parallelism' | 'maxFailedIndexes', limit: number, when: string): void => {
    const value = spec[field]
    if (value !== undefined && value > limit) {
      errors.push(invalidValue(`${path}.${field}`, value, `must be less than or equal to ${limit}${when}`))
    }
  }
  if (completions === undefined) {
    errors.push(required(`${path}.completions`, 'when completion mode is Indexed'))
  }
  below('parallelism', MOST_PARALLEL, ' when completion mode is Indexed')
  if (completions !== undefined && maxFailedIndexes !== undefined && maxFailedIndexes > completions) {
    errors.push(invalidValue(`${path}.maxFailedIndexes`, maxFailedIndexes, 'must be less than or equal to completions'))
  }
  below('maxFailedIndexes', MOST_FAILED, '')
  if ((completions ?? 0) <= MANY_COMPLETIONS || backoffLimitPerIndex === undefined) return
  if (maxFailedIndexes === undefined) {
    const said = `must be specified when completions is above ${MANY_COMPLETIONS}`
    errors.push(required(`${path}.maxFailedIndexes`, said))
  }
  const when = ` when completions are above ${MANY_COMPLETIONS} and used with backoff limit per index`
  if (parallelism !== undefined) below('parallelism', MOST_PARALLEL_OF_MANY, when)
  below('maxFailedIndexes', MOST_FAILED_OF_MANY, when)
}

const ACTIONS = ['Count', 'FailIndex', 'FailJob', 'Ignore']
const OPERATORS = ['In', 'NotIn']
const STATUSES = ['False', 'True', 'Unknown']

function listed(values: readonly string[]): string {
  return `valid values: [${values.map((value) => JSON.stringify(value)).join(' ')}]`
}

function validateFailurePolicy(spec: JobSpec, path: string, errors: FieldError[]): void {
  const rules = spec.podFailurePolicy?.rules ?? []
  if (rules.length > MOST_RULES) errors.push(tooMany(path, rules.length, MOST_RULES))
  const { containers, initContainers } = spec.template.spec ?? {}
  const names = new Set([...(containers ?? []), ...(initContainers ?? [])].map(({ name }) => name))
  rules.forEach((rule, index) => {
    const at = `${path}[${index}]`
    const { action, onExitCodes, onPodConditions = [] } = rule
    if (!action) errors.push(required(`${at}.action`, listed(ACTIONS)))
    else if (action === 'FailIndex') {
      if (spec.backoffLimitPerIndex === undefined) {
        errors.push(invalidValue(`${at}.action`, action, 'requires the backoffLimitPerIndex to be set'))
      }
    } else if (!ACTIONS.includes(action)) errors.push(notSupported(`${at}.action`, action, ACTIONS))
    if (onExitCodes) validateExitCodes(onExitCodes, names, `${at}.onExitCodes`, errors)
    validatePatterns(onPodConditions, `${at}.onPodConditions`, errors)
    if (onExitCodes && onPodConditions.length) {
      errors.push(omittedValue(at, 'specifying both OnExitCodes and OnPodConditions is not supported'))
    } else if (!onExitCodes && !onPodConditions.length) {
      errors.push(omittedValue(at, 'specifying one of OnExitCodes and OnPodConditions is required'))
    }
  })
}

function validateExitCodes(
  { operator, containerName, values }: NonNullable<PodFailurePolicyRule['onExitCodes']>,
  names: ReadonlySet<string>,
  path: string,
  errors: FieldError[],
): void {
  if (!operator) errors.push(required(`${path}.operator`, listed(OPERATORS)))
  else if (!OPERATORS.includes(operator)) errors.push(notSupported(`${path}.operator`, operator, OPERATORS))
  if (containerName !== undefined && !names.has(containerName)) {
    const said = 'must be one of the container or initContainer names in the pod template'
    errors.push(invalidValue(`${path}.containerName`, containerName, said))
  }
  const at = `${path}.values`
  if (!values?.length) errors.push(invalidValue(at, values ?? [], 'at least one value is required'))
  else if (values.length > MOST_EXIT_CODES) errors.push(tooMany(at, values.length, MOST_EXIT_CODES))
  const seen = new Set<number>()
  values?.forEach((value, index) => {
    if (operator === 'In' && value === 0) {
      errors.push(invalidValue(`${at}[${index}]`, value, 'must not be 0 for the In operator'))
    }
    if (seen.has(value)) errors.push(duplicate(`${at}[${index}]`, value))
    seen.add(value)
  })
  if (values?.some((value, index) => index > 0 && (values[index - 1] as number) > value)) {
    errors.push(invalidValue(at, values, 'must be ordered'))
  }
}

function validatePatterns(
  patterns: NonNullable<PodFailurePolicyRule['onPodConditions']>,
  path: string,
  errors: FieldError[],
): void {
  if (patterns.length > MOST_PATTERNS) errors.push(tooMany(path, patterns.length, MOST_PATTERNS))
  patterns.forEach(({ type, status }, index) => {
    const at = `${path}[${index}]`
    for (const said of qualifiedName(type)) errors.push(invalidValue(`${at}.type`, type, said))
    if (!status) errors.push(required(`${at}.status`, listed(STATUSES)))
    else if (!STATUSES.includes(status)) errors.push(notSupported(`${at}.status`, status, STATUSES))
  })
}

function validateSuccessPolicy(spec: JobSpec, path: string, errors: FieldError[]): void {
  const rules = spec.successPolicy?.rules ?? []
  if (!isIndexed(spec)) {
    const printed = {
      Rules: rules.map(({ succeededIndexes = null, succeededCount = null }) => ({
        SucceededIndexes: succeededIndexes,
        SucceededCount: succeededCount,
      })),
    }
    errors.push(invalidValue(path, printed, 'requires indexed completion mode'))
    return
  }
  const at = `${path}.rules`
  if (rules.length === 0) {
    errors.push(required(at, 'at least one rules must be specified when the successPolicy is specified'))
  }
  if (rules.length > MOST_RULES) errors.push(tooMany(at, rules.length, MOST_RULES))
  rules.forEach((rule, index) => validateSuccessRule(rule, spec.completions ?? 0, `${at}[${index}]`, errors))
}

function validateSuccessRule(
  { succeededIndexes, succeededCount }: SuccessPolicyRule,
  completions: number,
  path: string,
  errors: FieldError[],
): void {
  if (succeededIndexes === undefined && succeededCount === undefined) {
    errors.push(required(path, 'at least one of succeededCount or succeededIndexes must be specified'))
  }
  let total = 0
  if (succeededIndexes !== undefined) {
    const at = `${path}.succeededIndexes`
    if (Buffer.byteLength(succeededIndexes) > LONGEST_INDEXES) errors.push(tooLong(at, LONGEST_INDEXES))
    try {
      total = countIndexes(succeededIndexes, completions)
    } catch (error) {
      const said = `error parsing succeededIndexes: ${(error as Error).message}`
      errors.push(invalidValue(at, succeededIndexes, said))
    }
  }
  if (succeededCount === undefined) return
  const at = `${path}.succeededCount`
  validateNonNegative(succeededCount, at, errors)
  if (succeededCount > completions) {
    const said = `must be less than or equal to ${completions} (the number of specified completions)`
    errors.push(invalidValue(at, succeededCount, said))
  }
  if (succeededIndexes !== undefined && succeededCount > total) {
    const said = `must be less than or equal to ${total} (the number of indexes in the specified succeededIndexes field)`
    errors.push(invalidValue(at, succeededCount, said))
  }
}

function validateReplacement(
  { podReplacementPolicy: policy, podFailurePolicy }: JobSpec,
  path: string,
  errors: FieldError[],
): void {
  if (policy === undefined) return
  const supported = podFailurePolicy ? ['Failed'] : ['Failed', 'TerminatingOrFailed']
  if (!supported.includes(policy)) errors.push(notSupported(path, policy, supported))
}

function validateRestartPolicy(spec: JobSpec, path: string, errors: FieldError[]): void {
  const policy = spec.template.spec?.restartPolicy ?? ''
  if (policy === '' || policy === 'Always') errors.push(required(path, 'valid values: "OnFailure", "Never"'))
  else if (policy !== 'OnFailure' && policy !== 'Never') {
    errors.push(notSupported(path, policy, ['OnFailure', 'Never']))
  } else if (spec.podFailurePolicy && policy !== 'Never') {
    errors.push(invalidValue(path, policy, 'only "Never" is supported when podFailurePolicy is specified'))
  }
}
