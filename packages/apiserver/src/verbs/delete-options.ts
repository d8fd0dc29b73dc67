/** DeleteOptions, from the body or from the query. */
import { isObject } from '../patch/json-value.ts'
import { type FieldError, StatusError } from '../status-error.ts'
import type { Body, Query } from './call.ts'
import { badRequest, invalidOptions, quoted } from './errors.ts'
import { booleanParameter, integerParameter, validateDryRun } from './options.ts'

export type Propagation = 'Foreground' | 'Background' | 'Orphan'

export interface DeleteOptions {
  gracePeriodSeconds: number | undefined
  propagationPolicy: Propagation | undefined
  orphanDependents: boolean | undefined
  preconditions: { uid?: string; resourceVersion?: string }
  dryRun: boolean
}

export function deleteOptions(body: Body | undefined, query: Query): DeleteOptions {
  const given = body && !isEmpty(body) ? fromBody(body) : fromQuery(query)
  const errors: FieldError[] = []
  const { propagationPolicy } = given
  if (given.orphanDependents !== undefined && propagationPolicy !== undefined)
    errors.push({
      type: 'FieldValueInvalid',
      field: 'propagationPolicy',
      message: `Invalid value: ${quoted(propagationPolicy)}: orphanDependents and deletionPropagation cannot be both set`,
    })
  if (propagationPolicy !== undefined && !['Foreground', 'Background', 'Orphan'].includes(propagationPolicy))
    errors.push({
      type: 'FieldValueNotSupported',
      field: 'propagationPolicy',
      message: `Unsupported value: ${quoted(propagationPolicy)}: supported values: "Foreground", "Background", "Orphan", "nil"`,
    })
  errors.push(...validateDryRun(given.dryRun))
  if (errors.length > 0) throw invalidOptions('DeleteOptions', errors)
  const grace = given.gracePeriodSeconds
  return {
    // Negative values are taken as one second.
    gracePeriodSeconds: grace !== undefined && grace < 0 ? 1 : grace,
    propagationPolicy: propagationPolicy as Propagation | undefined,
    orphanDependents: given.orphanDependents,
    preconditions: given.preconditions,
    dryRun: given.dryRun.length > 0,
  }
}

interface Given {
  gracePeriodSeconds: number | undefined
  propagationPolicy: string | undefined
  orphanDependents: boolean | undefined
  preconditions: { uid?: string; resourceVersion?: string }
  dryRun: string[]
}

function fromQuery(query: Query): Given {
  return {
    gracePeriodSeconds: integerParameter(query, 'gracePeriodSeconds'),
    propagationPolicy: query.propagationPolicy,
    orphanDependents: booleanParameter(query, 'orphanDependents'),
    preconditions: {},
    dryRun: query.dryRun === undefined ? [] : [query.dryRun],
  }
}

/** Whoever says that it sends protobuf, and sends nothing, has no options. */
function isEmpty({ error, text }: Body): boolean {
  return error !== undefined && text === ''
}

function fromBody(body: Body): Given {
  if (body.error !== undefined)
    throw badRequest(body.binary ? body.error : `couldn't get version/kind; json parse error: ${body.error}`)
  const value = body.value as Record<string, unknown> | null
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrongType('', 'v1.DeleteOptions', value)
  if (value.kind !== undefined && value.kind !== 'DeleteOptions')
    throw new StatusError(
      'Unknown',
      `no kind ${JSON.stringify(value.kind)} is registered for version ${JSON.stringify(value.apiVersion ?? 'v1')} in scheme "pkg/runtime/scheme.go:110"`,
    )
  checkTypes(value)
  const preconditions = (value.preconditions ?? {}) as Record<string, unknown>
  const dryRun = (value.dryRun ?? []) as unknown[]
  return {
    gracePeriodSeconds: optional(value, 'gracePeriodSeconds', 'number'),
    propagationPolicy: optional(value, 'propagationPolicy', 'string'),
    orphanDependents: optional(value, 'orphanDependents', 'boolean'),
    preconditions: {
      ...pick(preconditions, 'uid'),
      ...pick(preconditions, 'resourceVersion'),
    },
    dryRun: dryRun.map(String),
  }
}

/** In the order of the document: the first that is wrong is told. */
function checkTypes(value: Record<string, unknown>): void {
  for (const [field, given] of Object.entries(value)) {
    if (given === null) continue
    if (field === 'preconditions' && !isObject(given)) throw wrongType(field, 'v1.Preconditions', given)
    if (field === 'dryRun' && !Array.isArray(given)) throw wrongType(field, '[]string', given)
    if (field === 'gracePeriodSeconds') optional(value, field, 'number')
    if (field === 'propagationPolicy') optional(value, field, 'string')
    if (field === 'orphanDependents') optional(value, field, 'boolean')
  }
}

const GO_TYPES = { number: 'int64', string: 'string', boolean: 'bool' } as const

interface Types {
  number: number
  string: string
  boolean: boolean
}

function optional<T extends keyof Types>(value: Record<string, unknown>, field: string, type: T): Types[T] | undefined {
  const given = value[field] ?? undefined
  if (given === undefined) return undefined
  // oxlint-disable-next-line valid-typeof -- the type is one of the three above
  if (typeof given !== type || (type === 'number' && !Number.isSafeInteger(given)))
    throw wrongType(field, GO_TYPES[type], given)
  return given as Types[T]
}

function pick(value: Record<string, unknown>, field: 'uid' | 'resourceVersion') {
  const given = optional(value, field, 'string')
  return given === undefined ? {} : { [field]: given }
}

/** kube-apiserver has no reason for it, and so no better code. */
function wrongType(field: string, type: string, given: unknown): StatusError {
  const found = Array.isArray(given) ? 'array' : typeof given
  return new StatusError(
    'Unknown',
    `json: cannot unmarshal ${found} into Go struct field DeleteOptions.${field} of type ${type}`,
  )
}
