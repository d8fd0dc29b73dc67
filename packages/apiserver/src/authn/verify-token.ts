/** Verifies ServiceAccount tokens: the signature once, what they are bound to each time. */
import { createHash } from 'node:crypto'
import type { UserInfo } from '@caisson/api'
import type { Store } from '../storage/store.ts'
import { identifyServiceAccount, parseClaims, type ServiceAccountClaims } from './service-account-identity.ts'
import type { VerificationKey } from './token-keys.ts'

// A token with every claim is about 1 KB; what is larger is not one of ours.
const LONGEST_TOKEN = 16 * 1024
const MOST_REMEMBERED = 4096
const LONGEST_REMEMBERED = 10 * 60_000

export interface TokenVerifierOptions {
  issuer: string
  keys: readonly VerificationKey[]
  source: Pick<Store, 'get'>
  /** ms since the epoch. */
  now: () => number
}

type VerifiedToken = { user: UserInfo; audiences: string[] } | { error: string }

export interface TokenVerifier {
  /**
   * Whom the token speaks for, before one of `audiences`. Undefined where it is no ServiceAccount token of this issuer
   * at all, so that another kind of credential may be looked for.
   */
  verify(token: string, audiences: readonly string[]): Promise<VerifiedToken | undefined>
}

export function createTokenVerifier({ issuer, keys, source, now }: TokenVerifierOptions): TokenVerifier {
  // Only signatures are remembered: whether the account still exists is asked of the store each time, so that a deleted
  // account is locked out at once.
  const remembered = new Map<string, { claims: ServiceAccountClaims; until: number }>()

  async function claimsOf(token: string): Promise<ServiceAccountClaims | { error: string } | undefined> {
    if (token.length > LONGEST_TOKEN || unverifiedIssuer(token) !== issuer) return undefined
    const digest = createHash('sha256').update(token).digest('base64')
    const known = remembered.get(digest)
    if (known && now() < known.until) return known.claims
    remembered.delete(digest)
    const checked = await checkSignature(token, { issuer, keys, now: now() })
    if ('error' in checked) return checked
    if (remembered.size >= MOST_REMEMBERED) {
      const [oldest] = remembered.keys()
      if (oldest !== undefined) remembered.delete(oldest)
    }
    remembered.set(digest, { claims: checked, until: now() + LONGEST_REMEMBERED })
    return checked
  }

  return {
    async verify(token, wanted) {
      const claims = await claimsOf(token)
      if (!claims || 'error' in claims) return claims
      const moment = now()
      if (claims.exp * 1000 <= moment) return { error: 'service account token has expired' }
      if (claims.nbf * 1000 > moment) return { error: 'service account token is not valid yet' }
      const audiences = claims.aud.filter((audience) => wanted.includes(audience))
      if (audiences.length === 0) {
        return { error: `token audiences ${quoted(claims.aud)} is invalid for the target audiences ${quoted(wanted)}` }
      }
      const identified = identifyServiceAccount(claims, { source, now: moment })
      return 'error' in identified ? identified : { user: identified.user, audiences }
    },
  }
}

async function checkSignature(
  token: string,
  { issuer, keys, now }: { issuer: string; keys: readonly VerificationKey[]; now: number },
): Promise<ServiceAccountClaims | { error: string }> {
  // Loaded with the first token: 35 ms that a start has no use for.
  const { decodeProtectedHeader, jwtVerify } = await import('jose')
  try {
    const { kid } = decodeProtectedHeader(token)
    const key = keys.find(({ id }) => id === kid)
    if (!key) return { error: 'no key matches the token' }
    // The algorithm is the key's, never the token's: neither `none` nor an HMAC with the public key as its secret passes.
    const { payload } = await jwtVerify(token, key.key, {
      algorithms: [key.algorithm],
      issuer,
      currentDate: new Date(now),
      requiredClaims: ['exp', 'nbf', 'iat', 'aud', 'sub'],
    })
    return parseClaims(payload) ?? { error: 'the token does not name a service account' }
  } catch (error) {
    return { error: error instanceof Error ? error.message : 'the token is invalid' }
  }
}

/** What a token claims as its issuer; undefined where it is no token. Says nothing about who signed it. */
function unverifiedIssuer(token: string): string | undefined {
  const parts = token.split('.')
  if (parts.length !== 3) return undefined
  try {
    const payload: unknown = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'))
    const issuer = typeof payload === 'object' && payload !== null ? (payload as { iss?: unknown }).iss : undefined
    return typeof issuer === 'string' ? issuer : undefined
  } catch {
    return undefined
  }
}

function quoted(texts: readonly string[]): string {
  return `[${texts.map((text) => JSON.stringify(text)).join(' ')}]`
}
