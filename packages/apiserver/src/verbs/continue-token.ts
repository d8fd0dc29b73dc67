/** The token between two pages of a list: readable by anyone, trusted by nobody. */
import { posix } from 'node:path'
import { badRequest } from './errors.ts'
import { jsonSyntaxError } from './json-syntax-error.ts'

export interface ContinueToken {
  /** Of the snapshot; -1 for whatever there is now. */
  revision: number
  /** Where the next page begins: `namespace/name` or `name`, and a zero byte. */
  start: string
}

export function encodeContinue({ revision, start }: ContinueToken): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start })).toString('base64url')
}

/** Throws BadRequest. */
export function decodeContinue(token: string): ContinueToken {
  const { v, rv, start } = parse(token)
  if (v !== 'meta.k8s.io/v1')
    throw wrong(
      `continue key is not valid: server does not recognize this encoded version ${typeof v === 'string' ? v : ''}`,
    )
  if (typeof rv !== 'number' || !Number.isSafeInteger(rv) || rv === 0)
    throw wrong('continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)')
  if (typeof start !== 'string' || start === '')
    throw wrong('continue key is not valid: encoded start key empty (version meta.k8s.io/v1)')
  const key = start.startsWith('/') ? start : `/${start}`
  if (posix.normalize(key) !== key || key.endsWith('/')) throw wrong(`continue key is not valid: ${start}`)
  return { revision: rv, start: key.slice(1) }
}

function parse(token: string): { v?: unknown; rv?: unknown; start?: unknown } {
  const stranger = token.search(/[^A-Za-z0-9_-]/)
  // One letter more than fits has too few bits for a byte.
  const broken = stranger >= 0 ? stranger : token.length % 4 === 1 ? token.length - 1 : -1
  if (broken >= 0) throw wrong(`continue key is not valid: illegal base64 data at input byte ${broken}`)
  const bytes = Buffer.from(token, 'base64url')
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    throw wrong(`continue key is not valid: ${jsonSyntaxError(bytes)}`)
  }
}

function wrong(message: string) {
  return badRequest(`invalid continue token: ${message}`)
}
