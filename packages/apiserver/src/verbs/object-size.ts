/** How large a stored object may become: what etcd takes in Kubernetes. Small patches must not add up to gigabytes. */
import { StatusError } from '../status-error.ts'

/** Characters of its JSON, about: what escapes and multi-byte characters add is not counted. */
export const MOST_CHARACTERS = 1_572_864
/** Quotes, a colon, a comma. */
const PER_MEMBER = 4

/** Throws RequestEntityTooLarge. Looks at every member once, a few microseconds for a Pod. */
export function refuseTooLarge(object: object): void {
  if (sizeOf(object) <= MOST_CHARACTERS) return
  throw new StatusError(
    'RequestEntityTooLarge',
    `Request entity too large: limit is ${MOST_CHARACTERS} bytes for an object with its managedFields`,
  )
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length + PER_MEMBER
  if (typeof value !== 'object' || value === null) return PER_MEMBER
  let size = PER_MEMBER
  if (Array.isArray(value)) {
    for (const item of value) size += sizeOf(item)
    return size
  }
  for (const key in value) size += key.length + sizeOf((value as Record<string, unknown>)[key])
  return size
}
