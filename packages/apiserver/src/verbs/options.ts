/** The query parameters of the verbs, checked as kube-apiserver checks them. */
import { FIELD_MANAGER_LIMIT, unprintableIn } from '../registry/field-manager.ts'
import type { FieldError } from '../status-error.ts'
import type { Query } from './call.ts'
import { badRequest, invalidOptions, quoted } from './errors.ts'

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore'

export interface WriteOptions {
  dryRun: boolean
  /** The `fieldManager` parameter, or the user agent's first word. */
  fieldManager: string
  fieldValidation: FieldValidation
  force: boolean
}

export type WriteOptionsKind = 'CreateOptions' | 'UpdateOptions' | 'PatchOptions'

export function writeOptions(kind: WriteOptionsKind, query: Query, userAgent: string, isApply = false): WriteOptions {
  const errors: FieldError[] = []
  if (kind === 'PatchOptions') {
    const force = booleanParameter(query, 'force')
    if (!isApply && force !== undefined)
      errors.push({
        type: 'FieldValueForbidden',
        field: 'force',
        message: 'Forbidden: may not be specified for non-apply patch',
      })
    if (isApply && !query.fieldManager)
      errors.push({
        type: 'FieldValueRequired',
        field: 'fieldManager',
        message: 'Required value: is required for apply patch',
      })
  }
  errors.push(...validateFieldManager(query.fieldManager ?? ''))
  errors.push(...validateDryRun(query.dryRun === undefined ? [] : [query.dryRun]))
  const fieldValidation = query.fieldValidation || 'Warn'
  if (fieldValidation !== 'Strict' && fieldValidation !== 'Warn' && fieldValidation !== 'Ignore')
    errors.push({
      type: 'FieldValueNotSupported',
      field: 'fieldValidation',
      message: `Unsupported value: ${quoted(fieldValidation)}: supported values: "", "Ignore", "Strict", "Warn"`,
    })
  if (errors.length > 0) throw invalidOptions(kind, errors)
  return {
    dryRun: query.dryRun !== undefined,
    fieldManager: query.fieldManager || managerOfUserAgent(userAgent),
    fieldValidation: fieldValidation as FieldValidation,
    force: query.force === 'true' || query.force === '1',
  }
}

export function validateDryRun(dryRun: readonly string[]): FieldError[] {
  if (dryRun.every((asked) => asked === 'All')) return []
  return [
    {
      type: 'FieldValueNotSupported',
      field: 'dryRun',
      message: `Unsupported value: ${JSON.stringify(dryRun)}: supported values: "All"`,
    },
  ]
}

function validateFieldManager(manager: string): FieldError[] {
  if (manager.length > FIELD_MANAGER_LIMIT)
    return [
      {
        type: 'FieldValueTooLong',
        field: 'fieldManager',
        message: `Too long: may not be more than ${FIELD_MANAGER_LIMIT} bytes`,
      },
    ]
  return unprintableIn(manager, 'fieldManager')
}

function managerOfUserAgent(userAgent: string): string {
  const end = userAgent.indexOf('/')
  const word = end === -1 ? userAgent : userAgent.slice(0, end)
  // oxlint-disable-next-line no-control-regex -- dropping control characters is the point
  return word.replace(/[\u0000-\u001f\u007f]/g, '').slice(0, FIELD_MANAGER_LIMIT) || 'unknown'
}

/** What webhooks are told of the options of a request. */
export function toldOptions(kind: 'CreateOptions' | 'UpdateOptions' | 'DeleteOptions', query: Query): object {
  const { dryRun, fieldManager, fieldValidation } = query
  return {
    kind,
    apiVersion: 'meta.k8s.io/v1',
    ...(dryRun && { dryRun: [dryRun] }),
    ...(kind !== 'DeleteOptions' && fieldManager && { fieldManager }),
    ...(kind !== 'DeleteOptions' && fieldValidation && { fieldValidation }),
  }
}

/** Go's conversion of a query parameter to a boolean: an empty value counts as given. */
export function booleanParameter(query: Query, name: string): boolean | undefined {
  const value = query[name]
  if (value === undefined) return undefined
  return value !== 'false' && value !== '0'
}

export function integerParameter(query: Query, name: string): number | undefined {
  const value = query[name]
  if (value === undefined) return undefined
  if (!/^[+-]?\d{1,30}$/.test(value)) throw badRequest(`strconv.ParseInt: parsing ${quoted(value)}: invalid syntax`)
  const number = BigInt(value.replace('+', ''))
  if (BigInt.asIntN(64, number) !== number)
    throw badRequest(`strconv.ParseInt: parsing ${quoted(value)}: value out of range`)
  return Number(value)
}
