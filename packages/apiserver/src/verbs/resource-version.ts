/** `resourceVersion` as a parameter of reads. */
import { StatusError } from '../status-error.ts'
import type { Store } from '../storage/store.ts'
import { quoted } from './errors.ts'

/** As many as 64 bits have. */
const LARGEST = 2n ** 64n - 1n

/** The number, rounded where it is beyond what any state ever has; undefined for the empty one. Throws BadRequest. */
export function parseResourceVersion(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (/^0*\d{1,20}$/.test(text) && BigInt(text) <= LARGEST) return Number(text)
  const why = /^\d+$/.test(text) ? 'value out of range' : 'invalid syntax'
  throw new StatusError('BadRequest', `strconv.ParseUint: parsing ${quoted(text)}: ${why}`)
}

/**
 * kube-apiserver waits three seconds for its cache to catch up. Ours is never behind: what is not there never was.
 *
 * @param wanted what `parseResourceVersion` made a number of
 */
export function tooLargeResourceVersion(wanted: string, current: number): StatusError {
  return new StatusError('Timeout', `Timeout: Too large resource version: ${BigInt(wanted)}, current: ${current}`, {
    details: {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    },
  })
}

/** Refuses a get of a state that has not happened. */
export function checkAvailable(text: string | undefined, store: Store): void {
  let wanted: number | undefined
  try {
    wanted = parseResourceVersion(text)
  } catch (error) {
    throw new StatusError(
      'Unknown',
      `resourceVersion: Invalid value: ${quoted(text ?? '')}: ${(error as Error).message}`,
    )
  }
  if (text && wanted !== undefined && wanted > store.revision) throw tooLargeResourceVersion(text, store.revision)
}
