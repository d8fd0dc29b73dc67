/** Acting as somebody else: the Impersonate headers. */
import type { UserInfo } from '@caisson/api'
import { type Authorize, forbidden, type ResourceAttributes } from '../authz/attributes.ts'
import { StatusError } from '../status-error.ts'
import { type RequestHeaders, valuesOf } from './authenticate.ts'
import {
  parseServiceAccountUsername,
  serviceAccountGroups,
  serviceAccountUsername,
} from './service-account-identity.ts'

const EXTRA_PREFIX = 'impersonate-extra-'
const AUTHENTICATED = 'system:authenticated'
const UNAUTHENTICATED = 'system:unauthenticated'
const ANONYMOUS = 'system:anonymous'

/**
 * The user that a request acts as: the one that its Impersonate headers ask for, or else `user` itself.
 *
 * Each part of the other identity (user or ServiceAccount, every group, uid, every value of extra) has to be allowed by
 * itself, as in Kubernetes; a 403 is thrown for the first that is not. Give it headers in which the lines of one name
 * are still apart (`headersDistinct`): joined by commas, one group could pass for two.
 */
export function impersonate(user: UserInfo, headers: RequestHeaders, authorize: Authorize): UserInfo {
  const asked = readHeaders(headers)
  if (!asked) return user

  const demand = (attributes: Omit<ResourceAttributes, 'user' | 'verb'>): void => {
    const complete = { user, verb: 'impersonate', ...attributes }
    const { allowed, reason } = authorize(complete)
    if (!allowed) throw forbidden(complete, reason)
  }

  const account = parseServiceAccountUsername(asked.username)
  const groups = [...asked.groups]
  if (account) {
    demand({ group: '', resource: 'serviceaccounts', namespace: account.namespace, name: account.name })
    if (groups.length === 0) groups.push(...serviceAccountGroups(account.namespace))
  } else {
    demand({ group: '', resource: 'users', name: asked.username })
  }
  for (const name of asked.groups) demand({ group: '', resource: 'groups', name })
  for (const [key, values] of asked.extra) {
    for (const name of values) {
      demand({ group: 'authentication.k8s.io', resource: 'userextras', subresource: key, name })
    }
  }
  if (asked.uid !== undefined) demand({ group: 'authentication.k8s.io', resource: 'uids', name: asked.uid })

  addImpliedGroup(asked.username, groups)
  return {
    username: account ? serviceAccountUsername(account.namespace, account.name) : asked.username,
    ...(asked.uid !== undefined && { uid: asked.uid }),
    groups,
    ...(asked.extra.size > 0 && { extra: Object.fromEntries(asked.extra) }),
  }
}

function addImpliedGroup(username: string, groups: string[]): void {
  if (username === ANONYMOUS) {
    if (!groups.includes(UNAUTHENTICATED)) groups.push(UNAUTHENTICATED)
  } else if (!groups.includes(AUTHENTICATED) && !groups.includes(UNAUTHENTICATED)) {
    groups.push(AUTHENTICATED)
  }
}

interface AskedIdentity {
  username: string
  uid: string | undefined
  groups: string[]
  extra: Map<string, string[]>
}

function readHeaders(headers: RequestHeaders): AskedIdentity | undefined {
  const username = textOf(valuesOf(headers, 'impersonate-user')[0])
  const groups = valuesOf(headers, 'impersonate-group').map(textOf)
  const uid = textOf(valuesOf(headers, 'impersonate-uid')[0]) || undefined
  const extra = new Map<string, string[]>()
  for (const name of Object.keys(headers)) {
    const lower = name.toLowerCase()
    if (!lower.startsWith(EXTRA_PREFIX)) continue
    const key = unescaped(lower.slice(EXTRA_PREFIX.length))
    extra.set(key, [...(extra.get(key) ?? []), ...valuesOf(headers, name).map(textOf)])
  }
  if (username !== '') return { username, uid, groups, extra }
  if (groups.length === 0 && extra.size === 0 && uid === undefined) return undefined
  throw new StatusError('InternalError', 'requested groups, a uid or extra without impersonating a user')
}

/** Node gives header bytes as Latin-1; names are UTF-8. */
function textOf(value: string | undefined): string {
  if (value === undefined) return ''
  const bytes = Buffer.from(value, 'latin1')
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new StatusError('BadRequest', 'an Impersonate header is not valid UTF-8')
  }
}

function unescaped(key: string): string {
  try {
    return decodeURIComponent(key)
  } catch {
    return key
  }
}
