/** `resourceVersion` as a parameter of reads. */
import { StatusError } from '../status-error.ts'
import type { Store } from '../storage/store.ts'
import { quoted } from './errors.ts'

/** The number; undefined for the empty one. */
export function parseResourceVersion(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const number = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(number)) return number
  const why = /^\d+$/.test(text) ? 'value out of range' : 'invalid syntax'
  throw new StatusError('BadRequest', `strconv.ParseUint: parsing ${quoted(text)}: ${why}`)
}

/** kube-apiserver waits three seconds for its cache to catch up. Ours is never behind: what is not there never was. */
export function tooLargeResourceVersion(wanted: number, current: number): StatusError {
  return new StatusError('Timeout', `Timeout: Too large resource version: ${wanted}, current: ${current}`, {
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
  if (wanted !== undefined && wanted > store.revision) throw tooLargeResourceVersion(wanted, store.revision)
}
