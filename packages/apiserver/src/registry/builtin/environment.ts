/** `env` and `envFrom`, and the references to the Pod's own fields that they share with downwardAPI volumes. */
import type {
  EnvFromSource,
  EnvVar,
  EnvVarSource,
  ObjectFieldSelector,
  ResourceFieldSelector,
} from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { invalidValue, notSupported, required } from '../field-error.ts'
import { configMapKey, dns1123Subdomain, environmentName, nameIsSubdomain, qualifiedName } from '../names.ts'

export function validateEnvironment(variables: readonly EnvVar[], path: string, errors: FieldError[]): void {
  variables.forEach((variable, index) => {
    const at = `${path}[${index}]`
    if (!variable.name) errors.push(required(`${at}.name`))
    else for (const said of environmentName(variable.name)) errors.push(invalidValue(`${at}.name`, variable.name, said))
    if (variable.valueFrom) validateValueFrom(variable.valueFrom, variable.value ?? '', `${at}.valueFrom`, errors)
  })
}

const SOURCES = ['fieldRef', 'resourceFieldRef', 'configMapKeyRef', 'secretKeyRef'] as const

const ENVIRONMENT_FIELDS = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
]

const VOLUME_FIELDS = ['metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid']

function validateValueFrom(source: EnvVarSource, value: string, path: string, errors: FieldError[]): void {
  const given = SOURCES.filter((name) => source[name])
  if (source.fieldRef) validateFieldRef(source.fieldRef, ENVIRONMENT_FIELDS, `${path}.fieldRef`, errors)
  if (source.resourceFieldRef) {
    validateResourceFieldRef(source.resourceFieldRef, false, `${path}.resourceFieldRef`, errors)
  }
  if (source.configMapKeyRef) validateKeyRef(source.configMapKeyRef, `${path}.configMapKeyRef`, errors)
  if (source.secretKeyRef) validateKeyRef(source.secretKeyRef, `${path}.secretKeyRef`, errors)
  if (given.length === 0) {
    const said = 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`'
    errors.push(invalidValue(path, '', said))
  } else if (value) {
    errors.push(invalidValue(path, '', 'may not be specified when `value` is not empty'))
  } else if (given.length > 1) {
    errors.push(invalidValue(path, '', 'may not have more than one field specified at a time'))
  }
}

function validateKeyRef(reference: { name?: string; key?: string }, path: string, errors: FieldError[]): void {
  const { name = '', key = '' } = reference
  for (const said of dns1123Subdomain(name)) errors.push(invalidValue(`${path}.name`, name, said))
  if (!key) errors.push(required(`${path}.key`))
  else for (const said of configMapKey(key)) errors.push(invalidValue(`${path}.key`, key, said))
}

export function validateEnvironmentFrom(sources: readonly EnvFromSource[], path: string, errors: FieldError[]): void {
  sources.forEach((source, index) => {
    const at = `${path}[${index}]`
    if (source.prefix) {
      for (const said of environmentName(source.prefix)) errors.push(invalidValue(`${at}.prefix`, source.prefix, said))
    }
    for (const field of ['configMapRef', 'secretRef'] as const) {
      const reference = source[field]
      if (!reference) continue
      if (!reference.name) errors.push(required(`${at}.${field}.name`))
      else {
        for (const said of nameIsSubdomain(reference.name, true)) {
          errors.push(invalidValue(`${at}.${field}.name`, reference.name, said))
        }
      }
    }
    if (!source.configMapRef && !source.secretRef) {
      errors.push(invalidValue(path, '', 'must specify one of: `configMapRef` or `secretRef`'))
    } else if (source.configMapRef && source.secretRef) {
      errors.push(invalidValue(path, '', 'may not have more than one field specified at a time'))
    }
  })
}

/** A reference in a downwardAPI volume. */
export function validateVolumeFieldRef(reference: ObjectFieldSelector, path: string, errors: FieldError[]): void {
  validateFieldRef(reference, VOLUME_FIELDS, path, errors)
}

/** Fields that can be named at all; which of them where, the callers say. */
const KNOWN_FIELDS = new Set([
  ...ENVIRONMENT_FIELDS,
  ...VOLUME_FIELDS,
  'spec.restartPolicy',
  'spec.schedulerName',
  'status.phase',
])

function validateFieldRef(
  reference: ObjectFieldSelector,
  supported: readonly string[],
  path: string,
  errors: FieldError[],
): void {
  const { apiVersion = '', fieldPath } = reference
  if (!apiVersion) {
    errors.push(required(`${path}.apiVersion`))
    return
  }
  if (!fieldPath) {
    errors.push(required(`${path}.fieldPath`))
    return
  }
  if (apiVersion !== 'v1') {
    const said = `error converting fieldPath: unsupported pod version: ${apiVersion}`
    errors.push(invalidValue(`${path}.fieldPath`, fieldPath, said))
    return
  }
  const [, field = '', subscript] = /^([^[]+)\['([^']*)'\]$/.exec(fieldPath) ?? ['', fieldPath, undefined]
  if (subscript !== undefined && (field === 'metadata.annotations' || field === 'metadata.labels')) {
    const name = field === 'metadata.annotations' ? subscript.toLowerCase() : subscript
    for (const said of qualifiedName(name)) errors.push(invalidValue(path, name, said))
  } else if (subscript !== undefined) {
    const said = `error converting fieldPath: field label does not support subscript: ${fieldPath}`
    errors.push(invalidValue(`${path}.fieldPath`, fieldPath, said))
  } else if (!KNOWN_FIELDS.has(field)) {
    const said = `error converting fieldPath: field label not supported: ${fieldPath}`
    errors.push(invalidValue(`${path}.fieldPath`, fieldPath, said))
  } else if (!supported.includes(field)) {
    errors.push(notSupported(`${path}.fieldPath`, field, supported))
  }
}

const CONTAINER_FIELDS = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
]
const BYTE_DIVISORS = '1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei'
const BYTE_RESOURCES: Readonly<Record<string, string>> = {
  memory: 'memory',
  'ephemeral-storage': 'local ephemeral storage',
}

/** A limit or a request of a container; in a volume the container has to be named. */
export function validateResourceFieldRef(
  reference: ResourceFieldSelector,
  inVolume: boolean,
  path: string,
  errors: FieldError[],
): void {
  const { containerName, resource, divisor = '0' } = reference
  const hugePages = /^(?:limits|requests)\.hugepages-/.test(resource)
  if (inVolume && !containerName) errors.push(required(`${path}.containerName`))
  else if (!resource) errors.push(required(`${path}.resource`))
  else if (!CONTAINER_FIELDS.includes(resource) && !hugePages) {
    errors.push(notSupported(`${path}.resource`, resource, CONTAINER_FIELDS))
  }
  if (divisor === '0') return
  const kind = resource.replace(/^(?:limits|requests)\./, '')
  if (kind === 'cpu') {
    if (divisor !== '1m' && divisor !== '1') {
      const said = "only divisor's values 1m and 1 are supported with the cpu resource"
      errors.push(invalidValue(`${path}.divisor`, resource, said))
    }
    return
  }
  const named = hugePages ? 'hugepages' : Object.hasOwn(BYTE_RESOURCES, kind) ? BYTE_RESOURCES[kind] : undefined
  if (named && !BYTE_DIVISORS.split(', ').includes(divisor)) {
    const said = `only divisor's values ${BYTE_DIVISORS} are supported with the ${named} resource`
    errors.push(invalidValue(`${path}.divisor`, resource, said))
  }
}
