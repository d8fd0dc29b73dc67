import { parseQuantity } from '@caisson/api'

/** Fields whose values are quantities, or maps of them. */
const QUANTITIES = new Set(['limits', 'requests', 'overhead', 'sizeLimit', 'divisor', 'capacity'])

/**
 * Whether two specs mean the same: a missing list is an empty one, and a quantity may be written in more than one way.
 */
export function sameSpec(a: unknown, b: unknown): boolean {
  return same(a, b, false)
}

function same(a: unknown, b: unknown, quantity: boolean): boolean {
  const left = isEmpty(a) ? undefined : a
  const right = isEmpty(b) ? undefined : b
  if (Object.is(left, right)) return true
  if (isObject(left) && isObject(right)) {
    if (Array.isArray(left) !== Array.isArray(right)) return false
    const keys = new Set([...Object.keys(left), ...Object.keys(right)])
    return [...keys].every((key) => same(left[key], right[key], quantity || QUANTITIES.has(key)))
  }
  if (!quantity || !isText(left) || !isText(right)) return false
  const number = parseQuantity(left)
  return number !== undefined && number === parseQuantity(right)
}

function isEmpty(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isText(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number'
}
