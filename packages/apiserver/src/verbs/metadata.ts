/** What the server itself sets in `metadata`. */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { ObjectMeta } from '@caisson/api'
import { badRequest } from './errors.ts'

/** RFC 3339 in UTC to the second, as `metav1.Time` is written. */
export function timestamp(now: number): string {
  return `${new Date(now).toISOString().slice(0, 19)}Z`
}

/** A creator may not set these; what is there is dropped without a word, as in Kubernetes. */
export function wipeSystemFields(metadata: ObjectMeta): void {
  delete metadata.uid
  delete metadata.creationTimestamp
  delete metadata.deletionTimestamp
  delete metadata.deletionGracePeriodSeconds
  delete (metadata as Record<string, unknown>).selfLink
}

/** @param uid a new one unless given */
export function fillSystemFields(metadata: ObjectMeta, now: number, uid: string = randomUUID()): void {
  metadata.uid = uid
  metadata.creationTimestamp = timestamp(now)
}

const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const SUFFIX_LENGTH = 5
const MAX_GENERATED_LENGTH = 63

/** A name that is the same for the same seed, with a suffix like those that are made up. */
export function derivedName(prefix: string, seed: string): string {
  const digest = createHash('sha256').update(seed).digest()
  const suffix = [...digest.subarray(0, SUFFIX_LENGTH)].map((byte) => SUFFIX_ALPHABET[byte % SUFFIX_ALPHABET.length])
  return prefix + suffix.join('')
}

export function generateName(prefix: string): string {
  let suffix = ''
  // 9 is the greatest multiple of 27 below 256, divided by 27: a remainder of more would favour the first letters.
  while (suffix.length < SUFFIX_LENGTH)
    for (const byte of randomBytes(SUFFIX_LENGTH))
      if (byte < 243 && suffix.length < SUFFIX_LENGTH) suffix += SUFFIX_ALPHABET[byte % 27]
  return prefix.slice(0, MAX_GENERATED_LENGTH - SUFFIX_LENGTH) + suffix
}

/** Sets the namespace of the request, or refuses another one. */
export function matchNamespace(metadata: ObjectMeta, expected: string): void {
  const given = metadata.namespace ?? ''
  if (given === expected) {
    if (given === '') delete metadata.namespace
    return
  }
  if (given === '') metadata.namespace = expected
  else if (expected === '') delete metadata.namespace
  else throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
}
