/** The kinds about tokens and identity: TokenRequest, TokenReview, SelfSubjectReview. */
import { type KeyObject, randomUUID } from 'node:crypto'
import type { KubeObject, UserInfo } from '@caisson/api'
import { goQuote, invalidValue } from '../registry/field-error.ts'
import { type FieldError, invalid, StatusError } from '../status-error.ts'
import type { Store } from '../storage/store.ts'
import { conflict, notFound } from '../verbs/errors.ts'
import type { Authenticator } from './authenticate.ts'
import { type BoundReference, type ServiceAccountClaims, serviceAccountUsername } from './service-account-identity.ts'
import { verificationKey } from './token-keys.ts'

const SHORTEST = 600
const LONGEST = 2 ** 32
const DEFAULT = 3600

export interface TokenIssuerOptions {
  issuer: string
  /** Of a token that asks for none. */
  audiences: readonly string[]
  /** P-256 or RSA, private. */
  signingKey: KeyObject
  source: Pick<Store, 'get'>
  /** ms since the epoch. */
  now: () => number
}

interface TokenRequestSpec {
  audiences?: string[]
  expirationSeconds?: number
  boundObjectRef?: { apiVersion?: string; kind?: string; name?: string; uid?: string }
}

export interface TokenTarget {
  namespace: string
  /** Of the ServiceAccount. */
  name: string
}

/**
 * Answers `create serviceaccounts/token`: a TokenRequest with a token in its status.
 * Throws the `StatusError` that kube-apiserver would.
 */
export async function requestToken(
  request: KubeObject,
  target: TokenTarget,
  options: TokenIssuerOptions,
): Promise<KubeObject> {
  const { namespace, name } = target
  const account = options.source.get('serviceaccounts', namespace, name)
  refuseOtherName(request, target)
  if (!account) throw notFound({ group: '', plural: 'serviceaccounts' }, name)
  const { uid: accountUid = '' } = account.metadata
  if (request.metadata?.uid && request.metadata.uid !== accountUid) {
    throw conflict(
      { group: 'authentication.k8s.io', plural: 'TokenRequest' },
      name,
      `the UID in the token request (${request.metadata.uid}) does not match the UID of the service account (${accountUid})`,
    )
  }
  const spec = (request.spec as TokenRequestSpec | undefined) ?? {}
  const expirationSeconds = spec.expirationSeconds ?? DEFAULT
  refuseLifetime(expirationSeconds)
  const audiences = spec.audiences?.length ? spec.audiences : [...options.audiences]
  const bound = resolveBound(spec.boundObjectRef, target, options.source)

  const now = options.now()
  const issuedAt = Math.floor(now / 1000)
  const token = await sign(
    {
      aud: audiences,
      exp: issuedAt + expirationSeconds,
      iat: issuedAt,
      iss: options.issuer,
      jti: randomUUID(),
      'kubernetes.io': { namespace, ...bound, serviceaccount: { name, uid: accountUid } },
      nbf: issuedAt,
      sub: serviceAccountUsername(namespace, name),
    },
    options.signingKey,
  )
  return {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: { name, namespace, uid: accountUid, creationTimestamp: timestamp(issuedAt) },
    spec: { audiences, expirationSeconds, boundObjectRef: spec.boundObjectRef ?? null },
    status: { token, expirationTimestamp: timestamp(issuedAt + expirationSeconds) },
  }
}

/** Answers a TokenReview: whose token it is. */
export async function reviewToken(review: KubeObject, authenticator: Authenticator): Promise<KubeObject> {
  const { token, audiences } = (review.spec as { token?: string; audiences?: string[] } | undefined) ?? {}
  if (!token) throw new StatusError('BadRequest', 'token is required for TokenReview in authentication')
  const result = await authenticator.authenticateToken(token, audiences?.length ? audiences : undefined)
  return {
    ...review,
    status: result.user
      ? { authenticated: true, user: result.user, audiences: result.audiences ?? [] }
      : { user: {}, error: invalidToken(result.error) },
  }
}

function invalidToken(why: string | undefined): string {
  return why === undefined ? 'invalid bearer token' : `[invalid bearer token, ${why}]`
}

/** Answers a SelfSubjectReview: who the one that asks is (`kubectl auth whoami`). */
export function reviewSelf(user: UserInfo, now: number): KubeObject {
  return {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'SelfSubjectReview',
    metadata: { creationTimestamp: timestamp(Math.floor(now / 1000)) },
    status: { userInfo: user },
  }
}

function refuseOtherName({ metadata }: KubeObject, { namespace, name }: TokenTarget): void {
  const errors: FieldError[] = []
  if (metadata?.name && metadata.name !== name) {
    errors.push(invalidValue('metadata.name', metadata.name, 'must match the service account name if specified'))
  } else if (metadata?.namespace && metadata.namespace !== namespace) {
    const why = 'must match the service account namespace if specified'
    errors.push(invalidValue('metadata.namespace', metadata.namespace, why))
  }
  if (errors.length > 0) throw invalid({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, name, errors)
}

function refuseLifetime(seconds: number): void {
  const why =
    seconds < SHORTEST
      ? 'may not specify a duration less than 10 minutes'
      : seconds > LONGEST
        ? 'may not specify a duration larger than 2^32 seconds'
        : undefined
  if (why === undefined) return
  throw invalid({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, '', [
    invalidValue('spec.expirationSeconds', seconds, why),
  ])
}

type BoundClaims = Omit<ServiceAccountClaims['kubernetes.io'], 'namespace' | 'serviceaccount'>

function resolveBound(
  reference: TokenRequestSpec['boundObjectRef'],
  { namespace, name }: TokenTarget,
  source: Pick<Store, 'get'>,
): BoundClaims {
  if (!reference) return {}
  const { apiVersion = '', kind = '', name: boundName = '', uid } = reference
  const isCore = !apiVersion.includes('/')
  const check = (object: KubeObject | undefined, resource: string): BoundReference => {
    if (!object) throw notFound({ group: '', plural: resource }, boundName)
    if (uid && object.metadata.uid !== uid) {
      throw conflict(
        { group: '', plural: kind },
        boundName,
        `the UID in the bound object reference (${object.metadata.uid}) does not match the UID in record. ` +
          'The object might have been deleted and then recreated',
      )
    }
    return { name: boundName, uid: object.metadata.uid ?? '' }
  }
  if (isCore && kind === 'Pod') {
    const pod = source.get('pods', namespace, boundName)
    const { serviceAccountName, nodeName } =
      (pod?.spec as { serviceAccountName?: string; nodeName?: string } | undefined) ?? {}
    if (pod && serviceAccountName !== name) {
      throw new StatusError(
        'BadRequest',
        `cannot bind token for serviceaccount ${goQuote(name)} to pod running with different serviceaccount name.`,
      )
    }
    const node = nodeName ? source.get('nodes', undefined, nodeName) : undefined
    const claims: BoundClaims = { pod: check(pod, 'pods') }
    return node ? { node: { name: nodeName ?? '', uid: node.metadata.uid ?? '' }, ...claims } : claims
  }
  if (isCore && kind === 'Node') return { node: check(source.get('nodes', undefined, boundName), 'nodes') }
  if (isCore && kind === 'Secret') return { secret: check(source.get('secrets', namespace, boundName), 'secrets') }
  const [group, version] = isCore ? ['', apiVersion] : apiVersion.split('/')
  throw new StatusError('BadRequest', `cannot bind token to object of type ${group}/${version}, Kind=${kind}`)
}

async function sign(claims: ServiceAccountClaims, key: KeyObject): Promise<string> {
  const { SignJWT } = await import('jose')
  const { id, algorithm } = verificationKey(key)
  return new SignJWT({ ...claims }).setProtectedHeader({ alg: algorithm, kid: id }).sign(key)
}

function timestamp(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}
