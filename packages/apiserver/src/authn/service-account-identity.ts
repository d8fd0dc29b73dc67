/** The names that ServiceAccounts go by, and what a token of theirs says. */
import { dns1123Label, dns1123Subdomain, type KubeObject, type UserInfo } from '@caisson/api'
import type { Store } from '../storage/store.ts'

const PREFIX = 'system:serviceaccount:'

export function serviceAccountUsername(namespace: string, name: string): string {
  return `${PREFIX}${namespace}:${name}`
}

export function serviceAccountGroups(namespace: string): string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
}

/** The namespace and name in a ServiceAccount's user name; undefined where it is another kind of user. */
export function parseServiceAccountUsername(username: string): { namespace: string; name: string } | undefined {
  const [namespace, name, ...more] = username.startsWith(PREFIX) ? username.slice(PREFIX.length).split(':') : []
  if (!namespace || !name || more.length > 0) return undefined
  return dns1123Label(namespace).length + dns1123Subdomain(name).length === 0 ? { namespace, name } : undefined
}

/** The namespace of a user name that was authenticated as a ServiceAccount's; undefined for other users. */
export function serviceAccountNamespace(username: string): string | undefined {
  if (!username.startsWith(PREFIX)) return undefined
  return username.slice(PREFIX.length, username.indexOf(':', PREFIX.length))
}

/** A reference to an object that must still be the same one. */
export interface BoundReference {
  name: string
  uid: string
}

/** The payload of a ServiceAccount token. Times are in seconds since the epoch. */
export interface ServiceAccountClaims {
  iss: string
  sub: string
  aud: string[]
  exp: number
  iat: number
  nbf: number
  jti: string
  'kubernetes.io': {
    namespace: string
    serviceaccount: BoundReference
    pod?: BoundReference
    secret?: BoundReference
    node?: BoundReference
  }
}

/** Reads the payload of a verified token; undefined where it is not of the shape that we issue. */
export function parseClaims(payload: Record<string, unknown>): ServiceAccountClaims | undefined {
  const { iss, sub, aud, exp, iat, nbf, jti } = payload
  const bound = payload['kubernetes.io']
  const audiences = typeof aud === 'string' ? [aud] : aud
  if (typeof iss !== 'string' || typeof sub !== 'string' || typeof jti !== 'string') return undefined
  if (typeof exp !== 'number' || typeof iat !== 'number' || typeof nbf !== 'number') return undefined
  if (!Array.isArray(audiences) || !audiences.every((one) => typeof one === 'string')) return undefined
  if (typeof bound !== 'object' || bound === null) return undefined
  const { namespace, serviceaccount, pod, secret, node } = bound as Record<string, unknown>
  if (typeof namespace !== 'string' || !isReference(serviceaccount)) return undefined
  // A token that says the one thing as its subject and another as its account is not one of ours.
  if (sub !== serviceAccountUsername(namespace, serviceaccount.name)) return undefined
  for (const reference of [pod, secret, node]) if (reference !== undefined && !isReference(reference)) return undefined
  return {
    iss,
    sub,
    aud: audiences,
    exp,
    iat,
    nbf,
    jti,
    'kubernetes.io': {
      namespace,
      serviceaccount,
      ...(isReference(pod) && { pod }),
      ...(isReference(secret) && { secret }),
      ...(isReference(node) && { node }),
    },
  }
}

function isReference(value: unknown): value is BoundReference {
  if (typeof value !== 'object' || value === null) return false
  const { name, uid } = value as Record<string, unknown>
  return typeof name === 'string' && name !== '' && typeof uid === 'string' && uid !== ''
}

// Kubelets and clients notice a deletion a little later than the server; Kubernetes grants the same minute.
const DELETION_LEEWAY = 60_000

/**
 * Whom a token speaks for, provided that its account and all that it is bound to are still there and still the same;
 * otherwise why not.
 */
export function identifyServiceAccount(
  claims: ServiceAccountClaims,
  { source, now }: { source: Pick<Store, 'get'>; now: number },
): { user: UserInfo } | { error: string } {
  const { namespace, serviceaccount, pod, secret, node } = claims['kubernetes.io']
  const account = source.get('serviceaccounts', namespace, serviceaccount.name)
  if (!account) return { error: `serviceaccounts "${serviceaccount.name}" not found` }
  if (account.metadata.uid !== serviceaccount.uid) {
    return { error: `service account UID (${account.metadata.uid}) does not match claim (${serviceaccount.uid})` }
  }
  if (isDeleted(account, now)) {
    return { error: `service account ${namespace}/${serviceaccount.name} has been deleted` }
  }
  const bound: [string, KubeObject | undefined, BoundReference | undefined][] = [
    ['secret', secret && source.get('secrets', namespace, secret.name), secret],
    ['pod', pod && source.get('pods', namespace, pod.name), pod],
    // The node of a Pod's token is information; a token bound to a node alone lives as long as the node.
    ['node', node && !pod ? source.get('nodes', undefined, node.name) : undefined, pod ? undefined : node],
  ]
  for (const [kind, object, reference] of bound) {
    if (!reference) continue
    if (!object || isDeleted(object, now)) return { error: 'service account token has been invalidated' }
    if (object.metadata.uid !== reference.uid) {
      return {
        error: `${kind} UID (${object.metadata.uid}) does not match service account ${kind} ref claim (${reference.uid})`,
      }
    }
  }
  return {
    user: {
      username: claims.sub,
      uid: serviceaccount.uid,
      groups: serviceAccountGroups(namespace),
      extra: {
        'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`],
        ...(node && {
          'authentication.kubernetes.io/node-name': [node.name],
          'authentication.kubernetes.io/node-uid': [node.uid],
        }),
        ...(pod && {
          'authentication.kubernetes.io/pod-name': [pod.name],
          'authentication.kubernetes.io/pod-uid': [pod.uid],
        }),
      },
    },
  }
}

function isDeleted({ metadata }: KubeObject, now: number): boolean {
  return metadata.deletionTimestamp !== undefined && Date.parse(metadata.deletionTimestamp) < now - DELETION_LEEWAY
}
