/** How large a stored object may become: what etcd takes in Kubernetes. Small patches must not add up to gigabytes. */
import { StatusError } from '../status-error.ts'

/** Characters of its JSON, about: what escapes and multi-byte characters add is not counted. */
export const MOST_CHARACTERS = 1_572_864
/** Quotes, a colon, a comma. */
const PER_MEMBER = 4

/** Characters that an object has at most. */
const bounds = new WeakMap<object, number>()

/**
 * Throws RequestEntityTooLarge. Looks at every member once that is not the very same in `previous`, the state that it
 * replaces; at all of them, a few microseconds for a Pod, where that is not enough to know.
 */
export function refuseTooLarge(object: object, previous?: object): void {
  const before = previous && bounds.get(previous)
  let bound = before === undefined ? Number.POSITIVE_INFINITY : before + sizeOf(object, previous)
  if (bound > MOST_CHARACTERS) bound = sizeOf(object)
  bounds.set(object, bound)
  if (bound <= MOST_CHARACTERS) return
  throw new StatusError(
    'RequestEntityTooLarge',
    `Request entity too large: limit is ${MOST_CHARACTERS} bytes for an object with its managedFields`,
  )
}

/** What is the very same at its place in `counted` is left out. */
function sizeOf(value: unknown, counted?: unknown): number {
  if (typeof value === 'string') return value.length + PER_MEMBER
  if (typeof value !== 'object' || value === null) return PER_MEMBER
  let size = PER_MEMBER
  if (Array.isArray(value)) {
    const items = Array.isArray(counted) ? counted : []
    value.forEach((item, index) => {
      if (!isSame(item, items[index])) size += sizeOf(item, items[index])
    })
    return size
  }
  const before = isMap(counted) ? counted : undefined
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key]
    const was = before && memberOf(before, key)
    if (!isSame(member, was)) size += key.length + sizeOf(member, was)
  }
  return size
}

function isSame(value: unknown, counted: unknown): boolean {
  return value === counted && counted !== undefined
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function memberOf(object: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}
