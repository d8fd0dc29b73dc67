/** Tolerations of Pods, taints of Nodes. */
import type { FieldError } from '../../status-error.ts'
import { invalidValue, notSupported, required } from '../field-error.ts'
import { labelValueErrors } from '../names.ts'
import { validateLabelName } from '../object-meta.ts'

export interface Toleration {
  key?: string
  operator?: string
  value?: string
  effect?: string
  tolerationSeconds?: number
}

export interface Taint {
  key: string
  value?: string
  effect?: string
  timeAdded?: string
}

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

export function validateTolerations(tolerations: readonly Toleration[], path: string, errors: FieldError[]): void {
  tolerations.forEach((toleration, index) => {
    const at = `${path}[${index}]`
    const { key = '', operator = '', value = '', effect = '' } = toleration
    if (key) validateLabelName(key, `${at}.key`, errors)
    if (!key && operator !== 'Exists') {
      const said = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
      errors.push(invalidValue(`${at}.operator`, operator, said))
    }
    if (toleration.tolerationSeconds !== undefined && effect !== 'NoExecute') {
      errors.push(invalidValue(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    }
    if (operator === 'Equal' || operator === '') {
      const said = labelValueErrors(value)
      if (said.length) errors.push(invalidValue(`${at}.operator`, value, said.join(';')))
    } else if (operator === 'Exists') {
      if (value) errors.push(invalidValue(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'"))
    } else {
      errors.push(notSupported(`${at}.operator`, operator, ['Equal', 'Exists']))
    }
    if (effect && !EFFECTS.includes(effect)) errors.push(notSupported(`${at}.effect`, effect, EFFECTS))
  })
}

export function validateTaints(taints: readonly Taint[], path: string, errors: FieldError[]): void {
  const seen = new Set<string>()
  taints.forEach((taint, index) => {
    const at = `${path}[${index}]`
    const { key, value = '', effect = '' } = taint
    validateLabelName(key, `${at}.key`, errors)
    const said = labelValueErrors(value)
    if (said.length) errors.push(invalidValue(`${at}.value`, value, said.join(';')))
    if (!effect) errors.push(required(`${at}.effect`))
    else if (!EFFECTS.includes(effect)) errors.push(notSupported(`${at}.effect`, effect, EFFECTS))
    if (seen.has(`${effect}/${key}`)) {
      errors.push({
        type: 'FieldValueDuplicate',
        field: at,
        message: `Duplicate value: ${JSON.stringify(goTaint(taint))}: taints must be unique by key and effect pair`,
      })
    }
    seen.add(`${effect}/${key}`)
  })
}

/** Go prints its internal struct, in the order of its fields. */
function goTaint(taint: Taint): unknown {
  return { Key: taint.key, Value: taint.value ?? '', Effect: taint.effect ?? '', TimeAdded: taint.timeAdded ?? null }
}
