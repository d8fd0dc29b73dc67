/** Where `scale` is a subresource, the fields that it reads have to hold numbers. */

import type { KubeObject } from '@caisson/api'
import { printed } from '../patch/go-printing.ts'
import { isObject } from '../patch/json-value.ts'
import { goNumber, isInteger } from '../schema/go-value.ts'
import type { FieldError } from '../status-error.ts'
import type { CrdScale } from './crd.ts'
import { invalidValue } from './field-error.ts'

const MAXIMUM = 2147483647

export function scaleSpecErrors(object: KubeObject, scale: CrdScale): FieldError[] {
  return replicasErrors(object, scale.specReplicasPath)
}

export function scaleStatusErrors(object: KubeObject, scale: CrdScale): FieldError[] {
  const errors = replicasErrors(object, scale.statusReplicasPath)
  if (scale.labelSelectorPath) {
    const { value, error } = valueAt(object, scale.labelSelectorPath)
    const problem = error ?? (value === undefined ? undefined : typeProblem(scale.labelSelectorPath, value, 'string'))
    if (problem) errors.push(invalidValue(scale.labelSelectorPath, '', problem))
  }
  return errors
}

function replicasErrors(object: KubeObject, path: string): FieldError[] {
  const { value, error } = valueAt(object, path)
  const problem = error ?? (value === undefined ? undefined : typeProblem(path, value, 'int64'))
  if (problem) return [invalidValue(path, 0, problem)]
  if (value === undefined) return []
  const replicas = value as number
  if (replicas < 0) return [invalidValue(path, replicas, 'should be a non-negative integer')]
  if (replicas > MAXIMUM) return [invalidValue(path, replicas, `should be less than or equal to ${MAXIMUM}`)]
  return []
}

function valueAt(object: KubeObject, path: string): { value?: unknown; error?: string } {
  let value: unknown = object
  const fields = path.replace(/^\./, '').split('.')
  for (const [index, field] of fields.entries()) {
    if (!isObject(value)) {
      if (value === null) return {}
      return {
        error: typeProblem(`.${fields.slice(0, index + 1).join('.')}`, value, 'map[string]interface{}') as string,
      }
    }
    if (!Object.hasOwn(value, field)) return {}
    value = value[field]
  }
  return { value }
}

function typeProblem(path: string, value: unknown, expected: string): string | undefined {
  const [type, shown] = described(value)
  if (type === expected) return undefined
  return `.${path.replace(/^\./, '')} accessor error: ${shown} is of the type ${type}, expected ${expected}`
}

/** Go's type and `%v` of a JSON value. */
function described(value: unknown): [type: string, shown: string] {
  if (value === null) return ['<nil>', '<nil>']
  if (typeof value === 'number') return [isInteger(value) ? 'int64' : 'float64', goNumber(value)]
  if (typeof value === 'boolean') return ['bool', String(value)]
  if (typeof value === 'string') return ['string', value]
  return [Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}', printed(value)]
}
