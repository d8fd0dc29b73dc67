/** LimitRange: what Pods, containers and claims of a namespace ask for where they say nothing, and may ask for at all. */
import { randomUUID } from 'node:crypto'
import type { KubeObject } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { duplicate, forbidden, invalidValue, required } from '../field-error.ts'
import { qualifiedName } from '../names.ts'
import { compareQuantities, nanoOf } from '../quantity.ts'
import type { Strategy } from '../resource.ts'
import {
  isOvercommitAllowed,
  type ResourceList,
  validateContainerResourceName,
  validateResourceName,
} from './resource-requirements.ts'

export interface LimitRangeItem {
  type: string
  max?: ResourceList
  min?: ResourceList
  default?: ResourceList
  defaultRequest?: ResourceList
  maxLimitRequestRatio?: ResourceList
}

export interface LimitRange extends KubeObject {
  spec?: { limits?: LimitRangeItem[] | null }
}

const TYPES = new Set(['Pod', 'Container', 'PersistentVolumeClaim'])

export const limitRangeStrategy: Strategy = {
  generation: false,
  createOnUpdate: true,
  defaults(object) {
    for (const item of (object as LimitRange).spec?.limits ?? []) if (item.type === 'Container') setDefaults(item)
  },
  prepareForCreate(object) {
    object.metadata.name ||= randomUUID()
  },
  validate: (object) => validateLimitRange(object as LimitRange),
  validateUpdate: (next) => validateLimitRange(next as LimitRange),
}

function setDefaults(item: LimitRangeItem): void {
  const limit = { ...item.max, ...item.default }
  const request = { ...item.min, ...limit, ...item.defaultRequest }
  if (Object.keys(limit).length > 0) item.default = limit
  if (Object.keys(request).length > 0) item.defaultRequest = request
}

function validateLimitRange({ spec }: LimitRange): FieldError[] {
  const errors: FieldError[] = []
  const seen = new Set<string>()
  spec?.limits?.forEach((item, index) => {
    const path = `spec.limits[${index}]`
    validateType(item.type, `${path}.type`, errors)
    if (seen.has(item.type)) errors.push(duplicate(`${path}.type`, item.type))
    seen.add(item.type)
    validateItem(item, path, errors)
  })
  return errors
}

function validateType(type: string, path: string, errors: FieldError[]): void {
  const said = qualifiedName(type)
  for (const error of said) errors.push(invalidValue(path, type, error))
  if (said.length === 0 && !type.includes('/') && !TYPES.has(type))
    errors.push(invalidValue(path, type, 'must be a standard limit type or fully qualified'))
}

const FIELDS = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const

function validateItem(item: LimitRangeItem, path: string, errors: FieldError[]): void {
  const names = new Set<string>()
  for (const field of FIELDS) {
    const amounts = item[field] ?? {}
    if (item.type === 'Pod' && (field === 'default' || field === 'defaultRequest')) {
      if (Object.keys(amounts).length > 0)
        errors.push(forbidden(`${path}.${field}`, "may not be specified when `type` is 'Pod'"))
      continue
    }
    if (field === 'maxLimitRequestRatio' && item.type === 'PersistentVolumeClaim') requireStorage(item, path, errors)
    for (const name in amounts) {
      const validate =
        item.type === 'Pod' || item.type === 'Container' ? validateContainerResourceName : validateResourceName
      validate(name, `${path}.${field}[${name}]`, errors)
      names.add(name)
    }
  }
  for (const name of names) validateOrder(name, item, path, errors)
}

function requireStorage({ min, max }: LimitRangeItem, path: string, errors: FieldError[]): void {
  if (min?.['storage'] !== undefined || max?.['storage'] !== undefined) return
  const said = 'either minimum or maximum storage value is required, but neither was provided'
  errors.push(required(`${path}.limits`, said))
}

/** How the amounts of one resource have to lie to each other. */
function validateOrder(name: string, item: LimitRangeItem, path: string, errors: FieldError[]): void {
  const isPod = item.type === 'Pod'
  const [min, max] = [item.min?.[name], item.max?.[name]]
  const limit = isPod ? undefined : item.default?.[name]
  const request = isPod ? undefined : item.defaultRequest?.[name]
  const refuse = (field: string, value: string, said: string): void =>
    void errors.push(invalidValue(`${path}.${field}[${name}]`, value, said))
  const above = (a: string | undefined, b: string | undefined): boolean =>
    a !== undefined && b !== undefined && compareQuantities(a, b) > 0

  if (above(min, max)) refuse('min', min as string, `min value ${min} is greater than max value ${max}`)
  if (above(min, request))
    refuse('defaultRequest', request as string, `min value ${min} is greater than default request value ${request}`)
  if (above(request, max))
    refuse('defaultRequest', request as string, `default request value ${request} is greater than max value ${max}`)
  if (above(request, limit))
    refuse(
      'defaultRequest',
      request as string,
      `default request value ${request} is greater than default limit value ${limit}`,
    )
  if (above(min, limit)) refuse('default', min as string, `min value ${min} is greater than default value ${limit}`)
  if (above(limit, max)) refuse('default', max as string, `default value ${limit} is greater than max value ${max}`)
  validateRatio(name, item, path, errors)
  if (!isOvercommitAllowed(name) && limit !== undefined && request !== undefined && compareQuantities(limit, request))
    refuse('defaultRequest', request, `default value ${limit} must equal to defaultRequest value ${request} in ${name}`)
}

function validateRatio(name: string, item: LimitRangeItem, path: string, errors: FieldError[]): void {
  const ratio = item.maxLimitRequestRatio?.[name]
  if (ratio === undefined) return
  const at = `${path}.maxLimitRequestRatio[${name}]`
  if (compareQuantities(ratio, '1') < 0) errors.push(invalidValue(at, ratio, `ratio ${ratio} is less than 1`))
  const [min, max] = [item.min?.[name], item.max?.[name]]
  if (min === undefined || max === undefined) return
  const most = Number(nanoOf(max)) / Number(nanoOf(min))
  if (Number(nanoOf(ratio)) / 1e9 > most)
    errors.push(invalidValue(at, ratio, `ratio ${ratio} is greater than max/min = ${most.toFixed(6)}`))
}
