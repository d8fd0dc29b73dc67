/** ConfigMap and Secret: keys that become file names, a bound on the sum of all values, and immutability. */
import type { KubeObject } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, required, tooLong } from '../field-error.ts'
import { configMapKey } from '../names.ts'
import type { Strategy } from '../resource.ts'
import { deepEqual } from './deep-equal.ts'
import { immutable } from './immutable.ts'

const MAXIMUM_BYTES = 1024 * 1024

interface ConfigMap extends KubeObject {
  data?: Record<string, string>
  binaryData?: Record<string, string>
  immutable?: boolean
}

interface Secret extends KubeObject {
  /** Base64. */
  data?: Record<string, string>
  stringData?: Record<string, string>
  type?: string
  immutable?: boolean
}

export const configMapStrategy: Strategy = {
  generation: false,
  validate: (object) => validateConfigMap(object as ConfigMap),
  validateUpdate(next, current) {
    const errors = validateImmutable(next as ConfigMap, current as ConfigMap, ['data', 'binaryData'])
    return errors.concat(validateConfigMap(next as ConfigMap))
  },
}

export const secretStrategy: Strategy = {
  generation: false,
  defaults(object) {
    const secret = object as Secret
    secret.type ||= 'Opaque'
    mergeStringData(secret)
  },
  prepareForUpdate(next, current) {
    // An absent type would otherwise be the default, and thus a change.
    ;(next as Secret).type ||= (current as Secret).type ?? ''
  },
  validate: (object) => validateSecret(object as Secret),
  validateUpdate(next, current) {
    const errors: FieldError[] = []
    immutable((next as Secret).type, (current as Secret).type, 'type', errors)
    errors.push(...validateImmutable(next as Secret, current as Secret, ['data']))
    return errors.concat(validateSecret(next as Secret))
  },
}

function mergeStringData(secret: Secret): void {
  const { stringData } = secret
  if (!stringData) return
  delete secret.stringData
  const data = { ...secret.data }
  for (const key of Object.keys(stringData)) {
    const value = Buffer.from(stringData[key] as string).toString('base64')
    Object.defineProperty(data, key, { value, enumerable: true, configurable: true, writable: true })
  }
  secret.data = data
}

function validateConfigMap(configMap: ConfigMap): FieldError[] {
  const errors: FieldError[] = []
  let bytes = 0
  const { data = {} } = configMap
  for (const key of Object.keys(data)) {
    for (const said of configMapKey(key)) errors.push(invalidValue(`data[${key}]`, key, said))
    if (configMap.binaryData && Object.hasOwn(configMap.binaryData, key)) {
      errors.push(invalidValue(`data[${key}]`, key, 'duplicate of key present in binaryData'))
    }
    bytes += Buffer.byteLength(data[key] as string)
  }
  for (const [key, value] of Object.entries(configMap.binaryData ?? {})) {
    for (const said of configMapKey(key)) errors.push(invalidValue(`binaryData[${key}]`, key, said))
    bytes += decodedBytes(value)
  }
  if (bytes > MAXIMUM_BYTES) errors.push(tooLong('[]', MAXIMUM_BYTES))
  return errors
}

/** What a type of Secret has to hold. */
const REQUIRED_KEYS: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
}

function validateSecret(secret: Secret): FieldError[] {
  const errors: FieldError[] = []
  const data = secret.data ?? {}
  let bytes = 0
  for (const [key, value] of Object.entries(data)) {
    for (const said of configMapKey(key)) errors.push(invalidValue(`data[${key}]`, key, said))
    bytes += decodedBytes(value)
  }
  if (bytes > MAXIMUM_BYTES) errors.push(tooLong('data', MAXIMUM_BYTES))
  const type = secret.type ?? ''
  for (const key of (Object.hasOwn(REQUIRED_KEYS, type) && REQUIRED_KEYS[type]) || []) {
    if (!Object.hasOwn(data, key)) errors.push(required(`data[${key}]`))
    else if (type !== 'kubernetes.io/tls') validateJson(data[key] as string, `data[${key}]`, errors)
  }
  if (type === 'kubernetes.io/service-account-token') {
    const annotation = 'kubernetes.io/service-account.name'
    if (!secret.metadata.annotations?.[annotation]) errors.push(required(`metadata.annotations[${annotation}]`))
  } else if (type === 'kubernetes.io/basic-auth') {
    if (!Object.hasOwn(data, 'username') && !Object.hasOwn(data, 'password')) {
      errors.push(required('data[username]'), required('data[password]'))
    }
  } else if (type === 'kubernetes.io/ssh-auth') {
    if (!data['ssh-privatekey']) errors.push(required('data[ssh-privatekey]'))
  }
  return errors
}

function validateJson(base64: string, path: string, errors: FieldError[]): void {
  try {
    const value: unknown = JSON.parse(Buffer.from(base64, 'base64').toString())
    if (typeof value === 'object' && !Array.isArray(value)) return
    errors.push(
      invalidValue(
        path,
        '<secret contents redacted>',
        'json: cannot unmarshal into Go value of type map[string]interface {}',
      ),
    )
  } catch {
    // The parser's own message would quote what the secret holds.
    errors.push(invalidValue(path, '<secret contents redacted>', 'invalid character in JSON'))
  }
}

function validateImmutable<T extends ConfigMap | Secret>(
  next: T,
  current: T,
  fields: ReadonlyArray<keyof T & string>,
): FieldError[] {
  if (!current.immutable) return []
  const said = 'field is immutable when `immutable` is set'
  const changed = fields.filter((field) => !deepEqual(next[field] ?? {}, current[field] ?? {}))
  return [...(next.immutable ? [] : ['immutable']), ...changed].map((field) => forbidden(field, said))
}

function decodedBytes(base64: string): number {
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0
  return (base64.length * 3) / 4 - padding
}
