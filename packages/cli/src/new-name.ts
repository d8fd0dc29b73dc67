import { randomBytes } from 'node:crypto'
import { dns1123Subdomain } from '@caisson/api'
import { CliError } from './cli-error.ts'

/** Kubernetes' names have that many characters: what is longer is none, and is not repeated whole. */
const LONGEST = 253

export function shownName(name: string): string {
  return name.length <= LONGEST ? name : `${name.slice(0, 40)}… (${name.length} characters)`
}

/**
 * The name of what a command makes: the one that its user gave with `--name`, or `PREFIX-` and eight random digits.
 *
 * @throws CliError where Kubernetes takes no such name
 */
export function newName(given: string | undefined, prefix: string): string {
  const name = given ?? `${prefix}-${randomBytes(4).toString('hex')}`
  requireName('--name', name)
  return name
}

/**
 * Of what is to be made.
 *
 * @param place where it was given
 * @throws CliError where Kubernetes takes no such name
 */
export function requireName(place: string, name: string): void {
  if (dns1123Subdomain(name).length === 0) return
  throw new CliError(
    'usage',
    `${place} ${JSON.stringify(shownName(name))} is no name: use lower-case letters, digits, '-' and '.', a letter or digit first and last, at most ${LONGEST} of them`,
  )
}
