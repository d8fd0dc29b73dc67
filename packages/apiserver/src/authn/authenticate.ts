/** Who a request comes from. There is no anonymous user: nobody means 401. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { type UserInfo, WEBSOCKET_BEARER } from '@caisson/api'
import { type ClientCertificate, userOfCertificate } from './client-certificate.ts'
import { createTokenVerifier, type TokenVerifierOptions } from './verify-token.ts'

/** One or several values a header; `headersDistinct` of Node's requests, whose names are in lower case. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

export interface StaticToken {
  token: string
  user: UserInfo
}

export interface AuthenticatorOptions {
  /** Tokens that are valid as long as the server runs. */
  tokens?: readonly StaticToken[]
  serviceAccounts?: Omit<TokenVerifierOptions, 'now'> & {
    /** Whom tokens have to be meant for to be accepted by this server. */
    audiences: readonly string[]
  }
  /** ms since the epoch. */
  now: () => number
}

interface AuthenticationRequest {
  headers: RequestHeaders
  /** Only one that TLS verified: see `peerCertificateOf`. */
  peerCertificate?: ClientCertificate | undefined
}

export interface Authenticator {
  /** The user of a request, with system:authenticated among its groups. Undefined means 401 Unauthorized. */
  authenticate(request: AuthenticationRequest): Promise<UserInfo | undefined>
  /** Whom a bare token speaks for, before one of the audiences (the server's own where none is given). */
  authenticateToken(token: string, audiences?: readonly string[]): Promise<AuthenticatedToken>
}

/** Neither user nor error: nobody knows the token. */
interface AuthenticatedToken {
  user?: UserInfo
  audiences?: readonly string[]
  error?: string
}

const AUTHENTICATED = 'system:authenticated'

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { serviceAccounts, now } = options
  const audiences = serviceAccounts?.audiences ?? []
  const verifier = serviceAccounts && createTokenVerifier({ ...serviceAccounts, now })
  // Only digests are kept: neither a heap dump nor the time of a comparison gives a token away.
  const known = (options.tokens ?? []).map(({ token, user }) => ({ digest: digestOf(token), user }))

  async function authenticateToken(token: string, wanted: readonly string[] = audiences): Promise<AuthenticatedToken> {
    const digest = digestOf(token)
    const match = known.filter((one) => timingSafeEqual(one.digest, digest))[0]
    if (match) return { user: authenticated(match.user), audiences: wanted }
    const verified = await verifier?.verify(token, wanted)
    if (!verified) return {}
    if ('error' in verified) return { error: verified.error }
    return { user: authenticated(verified.user), audiences: verified.audiences }
  }

  return {
    authenticateToken,
    async authenticate({ headers, peerCertificate }) {
      const user = peerCertificate && userOfCertificate(peerCertificate, now())
      if (user) return authenticated(user)
      const token = bearerToken(headers)
      return token === undefined ? undefined : (await authenticateToken(token)).user
    },
  }
}

function authenticated(user: UserInfo): UserInfo {
  return user.groups.includes(AUTHENTICATED) ? user : { ...user, groups: [...user.groups, AUTHENTICATED] }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

function bearerToken(headers: RequestHeaders): string | undefined {
  const [authorization, ...more] = valuesOf(headers, 'authorization')
  // Which of two would a proxy in front have looked at?
  if (more.length > 0) return undefined
  if (authorization !== undefined) {
    const [, token] = /^bearer +([^ ]+) *$/i.exec(authorization) ?? []
    return token
  }
  if (valuesOf(headers, 'upgrade')[0]?.toLowerCase() !== 'websocket') return undefined
  const protocols = valuesOf(headers, 'sec-websocket-protocol').flatMap((value) => value.split(','))
  const bearers = protocols.map((one) => one.trim()).filter((one) => one.startsWith(WEBSOCKET_BEARER))
  if (bearers.length !== 1) return undefined
  const token = Buffer.from(bearers[0]?.slice(WEBSOCKET_BEARER.length) ?? '', 'base64url').toString('utf8')
  return token === '' ? undefined : token
}

/** All values of a header. */
export function valuesOf(headers: RequestHeaders, name: string): readonly string[] {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined
  return value === undefined ? [] : typeof value === 'string' ? [value] : value
}
