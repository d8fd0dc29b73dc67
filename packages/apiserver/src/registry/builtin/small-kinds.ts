/** Strategies of kinds that have little to say: one block each. */
import type { KubeObject } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { duplicate, forbidden, invalidValue, notSupported, required, tooLong } from '../field-error.ts'
import { dns1123Label, qualifiedName } from '../names.ts'
import { MAX_ERRORS, validateLabelName, validateLabels } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import { deepEqual } from './deep-equal.ts'
import { immutable } from './immutable.ts'
import { validateResourceRequirements } from './resource-requirements.ts'
import { type Toleration, validateTolerations } from './tolerations.ts'

interface ServiceAccount extends KubeObject {
  secrets?: Array<{ name?: string }>
}

export const serviceAccountStrategy: Strategy = {
  generation: false,
  returnsDeleted: true,
  prepareForCreate: cleanSecretReferences,
  prepareForUpdate: cleanSecretReferences,
}

/** Only the names of secrets mean anything; the rest of a reference could only mislead. */
function cleanSecretReferences(object: KubeObject): void {
  const account = object as ServiceAccount
  if (account.secrets) account.secrets = account.secrets.map(({ name }) => (name ? { name } : {}))
}

interface Lease extends KubeObject {
  spec?: {
    leaseDurationSeconds?: number
    leaseTransitions?: number
    strategy?: string
    preferredHolder?: string
  }
}

export const leaseStrategy: Strategy = {
  generation: false,
  createOnUpdate: true,
  unconditionalUpdate: false,
  prepareForCreate: dropCoordinatedLeaseFields,
  prepareForUpdate: dropCoordinatedLeaseFields,
  validate: (object) => validateLease(object as Lease),
  validateUpdate: (next) => validateLease(next as Lease),
}

/** Behind a feature gate that is off in 1.34. */
function dropCoordinatedLeaseFields(object: KubeObject): void {
  const { spec } = object as Lease
  delete spec?.strategy
  delete spec?.preferredHolder
}

function validateLease({ spec }: Lease): FieldError[] {
  const errors: FieldError[] = []
  if (spec?.leaseDurationSeconds !== undefined && spec.leaseDurationSeconds <= 0) {
    errors.push(invalidValue('spec.leaseDurationSeconds', spec.leaseDurationSeconds, 'must be greater than 0'))
  }
  if (spec?.leaseTransitions !== undefined && spec.leaseTransitions < 0) {
    errors.push(invalidValue('spec.leaseTransitions', spec.leaseTransitions, 'must be greater than or equal to 0'))
  }
  return errors
}

interface RuntimeClass extends KubeObject {
  handler?: string
  overhead?: { podFixed?: Record<string, string> }
  scheduling?: { nodeSelector?: Record<string, string>; tolerations?: Toleration[] }
}

export const runtimeClassStrategy: Strategy = {
  generation: false,
  createOnUpdate: true,
  unconditionalUpdate: false,
  validate: (object) => validateRuntimeClass(object as RuntimeClass),
  validateUpdate(next, current) {
    const errors = validateRuntimeClass(next as RuntimeClass)
    immutable((next as RuntimeClass).handler, (current as RuntimeClass).handler, 'handler', errors)
    return errors
  },
}

function validateRuntimeClass({ handler = '', overhead, scheduling }: RuntimeClass): FieldError[] {
  const errors: FieldError[] = []
  for (const said of dns1123Label(handler)) errors.push(invalidValue('handler', handler, said))
  if (overhead) validateResourceRequirements({ limits: overhead.podFixed ?? {} }, 'overhead', errors)
  if (scheduling) {
    validateLabels(scheduling.nodeSelector, 'scheduling.nodeSelector', errors)
    const tolerations = scheduling.tolerations ?? []
    validateTolerations(tolerations, 'scheduling.tolerations.tolerations', errors)
    const seen = new Set<string>()
    tolerations.forEach(({ key = '', operator = '', value = '', effect = '', tolerationSeconds = null }, index) => {
      const listKey = JSON.stringify([key, operator, value, effect])
      const printed = {
        Key: key,
        Operator: operator,
        Value: value,
        Effect: effect,
        TolerationSeconds: tolerationSeconds,
      }
      if (seen.has(listKey)) errors.push(duplicate(`scheduling.tolerations[${index}]`, printed))
      seen.add(listKey)
    })
  }
  return errors
}

interface StorageClass extends KubeObject {
  provisioner?: string
  parameters?: Record<string, string>
  reclaimPolicy?: string
  volumeBindingMode?: string
  allowedTopologies?: Array<{ matchLabelExpressions?: Array<{ key: string; values: string[] }> }>
}

const MAX_PARAMETER_BYTES = 256 * 1024
const MAX_PARAMETERS = 512

export const storageClassStrategy: Strategy = {
  generation: false,
  returnsDeleted: true,
  defaults(object) {
    const storageClass = object as StorageClass
    storageClass.reclaimPolicy ??= 'Delete'
    storageClass.volumeBindingMode ??= 'Immediate'
  },
  validate: (object) => validateStorageClass(object as StorageClass),
  validateUpdate(next, current) {
    const errors: FieldError[] = []
    for (const field of ['parameters', 'provisioner', 'reclaimPolicy'] as const) {
      if (!deepEqual(next[field], current[field])) errors.push(forbidden(field, `updates to ${field} are forbidden.`))
    }
    immutable(next.volumeBindingMode, current.volumeBindingMode, 'volumeBindingMode', errors)
    return errors.concat(validateStorageClass(next as StorageClass))
  },
}

function validateStorageClass(storageClass: StorageClass): FieldError[] {
  const errors: FieldError[] = []
  const { provisioner = '', parameters = {}, reclaimPolicy = '', volumeBindingMode } = storageClass
  if (!provisioner) errors.push(required('provisioner'))
  else {
    const name = provisioner.toLowerCase()
    for (const said of qualifiedName(name)) errors.push(invalidValue('provisioner', name, said))
  }
  validateParameters(parameters, errors)
  if (reclaimPolicy && reclaimPolicy !== 'Delete' && reclaimPolicy !== 'Retain') {
    errors.push(notSupported('reclaimPolicy', reclaimPolicy, ['Delete', 'Retain']))
  }
  if (!volumeBindingMode) errors.push(required('volumeBindingMode'))
  else if (volumeBindingMode !== 'Immediate' && volumeBindingMode !== 'WaitForFirstConsumer') {
    errors.push(notSupported('volumeBindingMode', volumeBindingMode, ['Immediate', 'WaitForFirstConsumer']))
  }
  validateTopologies(storageClass.allowedTopologies ?? [], errors)
  return errors
}

function validateTopologies(topologies: NonNullable<StorageClass['allowedTopologies']>, errors: FieldError[]): void {
  // Kubernetes compares each term with as many empty ones as there are terms, and with those before it.
  const seen = new Map([[JSON.stringify([]), topologies.length]])
  topologies.forEach((term, index) => {
    const terms = new Map<string, string[]>()
    term.matchLabelExpressions?.forEach(({ key, values }, at) => {
      const path = `allowedTopologies[${index}].matchLabelExpressions[${at}]`
      if (!values?.length) errors.push(required(`${path}.values`))
      const before = new Set<string>()
      values?.forEach((value, position) => {
        if (before.has(value)) errors.push(duplicate(`${path}.values[${position}]`, value))
        before.add(value)
      })
      validateLabelName(key, `${path}.key`, errors)
      if (terms.has(key)) errors.push(duplicate(`${path}.key`, key))
      terms.set(key, [...new Set(values)].sort())
    })
    const expressions = JSON.stringify([...terms].sort(([a], [b]) => (a < b ? -1 : 1)))
    const equal = seen.get(expressions) ?? 0
    for (let count = 0; count < equal && errors.length < MAX_ERRORS; count++)
      errors.push(duplicate(`allowedTopologies[${index}].matchLabelExpressions`, ''))
    seen.set(expressions, equal + 1)
  })
}

function validateParameters(parameters: Readonly<Record<string, string>>, errors: FieldError[]): void {
  const entries = Object.entries(parameters)
  if (entries.length > MAX_PARAMETERS) {
    errors.push(tooLong('parameters', MAX_PARAMETERS))
    return
  }
  let bytes = 0
  for (const [key, value] of entries) {
    if (key === '') errors.push(invalidValue('parameters', key, 'field can not be empty.'))
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (bytes > MAX_PARAMETER_BYTES) errors.push(tooLong('parameters', MAX_PARAMETER_BYTES))
}

interface PriorityClass extends KubeObject {
  value?: number
  globalDefault?: boolean
  preemptionPolicy?: string
}

const SYSTEM_PRIORITIES: Readonly<Record<string, number>> = {
  'system-node-critical': 2_000_001_000,
  'system-cluster-critical': 2_000_000_000,
}
const HIGHEST_USER_PRIORITY = 1_000_000_000

export const priorityClassStrategy: Strategy = {
  generation: 'first',
  defaults(object) {
    ;(object as PriorityClass).preemptionPolicy ??= 'PreemptLowerPriority'
  },
  validate(object) {
    const { metadata, value = 0, globalDefault = false, preemptionPolicy } = object as PriorityClass
    const errors: FieldError[] = []
    const name = metadata.name ?? ''
    if (name.startsWith('system-')) {
      const said = systemPriorityError(name, value, globalDefault)
      const reserved = "priority class names with 'system-' prefix are reserved for system use only. error: "
      if (said) errors.push(forbidden('metadata.name', `${reserved}${said}`))
    } else if (value > HIGHEST_USER_PRIORITY) {
      errors.push(forbidden('value', `maximum allowed value of a user defined priority is ${HIGHEST_USER_PRIORITY}`))
    }
    if (preemptionPolicy !== undefined) validatePreemptionPolicy(preemptionPolicy, 'preemptionPolicy', errors)
    return errors
  },
  validateUpdate(next, current) {
    const errors: FieldError[] = []
    if (next.value !== current.value) errors.push(forbidden('value', 'may not be changed in an update.'))
    immutable(next.preemptionPolicy, current.preemptionPolicy, 'preemptionPolicy', errors)
    return errors
  },
}

function systemPriorityError(name: string, value: number, globalDefault: boolean): string | undefined {
  const known = Object.hasOwn(SYSTEM_PRIORITIES, name) ? SYSTEM_PRIORITIES[name] : undefined
  if (known === undefined) return `${name} is not a known system priority class`
  if (value !== known) return `value of ${name} PriorityClass must be ${known}`
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : undefined
}

export function validatePreemptionPolicy(policy: string, path: string, errors: FieldError[]): void {
  if (policy === 'PreemptLowerPriority' || policy === 'Never') return
  errors.push(policy ? notSupported(path, policy, ['PreemptLowerPriority', 'Never']) : required(path))
}
