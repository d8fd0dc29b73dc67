/** Values of custom resources as Kubernetes' messages print them, which are those of Go. */
import { goJson, goQuote } from '../registry/field-error.ts'
import { sortedKeys } from './canonical-json.ts'

/** A bad value in a `field.Error`: text quoted, numbers by `%v`, the rest as JSON, where Go sorts the keys of maps. */
export function goValue(value: unknown): string {
  if (typeof value === 'string') return goQuote(value)
  if (typeof value === 'number') return goNumber(value)
  return typeof value === 'object' && value !== null ? goJson(sortedKeys(value)) : goJson(value)
}

/** Go holds integers of 64 bits; what is beyond them is a float there. */
export function isInteger(value: number): boolean {
  return Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63
}

/** `%v`: floats have an exponent from 1e+06 on and below 1e-04. */
export function goNumber(value: number, whole = isInteger(value)): string {
  if (whole) return Number.isSafeInteger(value) ? String(value) : BigInt(value).toString()
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
  const [digits, exponent] = value.toExponential().split('e') as [string, string]
  const power = Number(exponent)
  if (power >= -4 && power < 6) return Object.is(value, -0) ? '-0' : String(value)
  return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
}
