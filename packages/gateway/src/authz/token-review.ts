/**
 * Tokens of the cluster: the API server says whose a token is, and whether that user may reach the Sandbox. Reaching a
 * port of a Sandbox is `create pods/portforward` of its Pod, and having the router answer for it, which executes
 * commands, is `create pods/exec`.
 */
import { createHash } from 'node:crypto'
import { type Client, resources } from '@caisson/client'
import { RouterError } from '../router-error.ts'
import { type Access, type Authorize, bearerToken, forbidden, unauthenticated } from './authorize.ts'

export interface TokenReviewOptions {
  client: Client
  /** Whom a token has to be for; by default the API server itself. */
  audiences?: readonly string[]
  now: () => number
}

/** ms that an answer is taken for true: so long a token that was revoked goes on working. */
const REMEMBER_MS = 30_000
const REMEMBERED = 2048
const ASK_MS = 3000

interface Identity {
  user: string
  uid: string | undefined
  groups: readonly string[]
  extra: Readonly<Record<string, string[]>> | undefined
}

/** `execs(access)`: whether the request may have commands executed. */
export function authorizeByTokenReview(
  { client, audiences, now }: TokenReviewOptions,
  execs: (access: Access) => boolean,
): Authorize {
  const identities = createMemory<Identity | undefined>(now)
  const decisions = createMemory<boolean>(now)

  async function identify(token: string): Promise<Identity | undefined> {
    const { status } = await client.create(
      resources.tokenReviews,
      { metadata: {}, spec: { token, ...(audiences && { audiences: [...audiences] }) } },
      { signal: AbortSignal.timeout(ASK_MS) },
    )
    if (!status?.authenticated) return undefined
    const { username = '', uid, groups = [], extra } = status.user ?? {}
    return { user: username, uid, groups, extra: extra as Record<string, string[]> | undefined }
  }

  async function mayReach(identity: Identity, access: Access): Promise<boolean> {
    const { status } = await client.create(
      resources.subjectAccessReviews,
      {
        metadata: {},
        spec: {
          user: identity.user,
          groups: [...identity.groups],
          ...(identity.uid !== undefined && { uid: identity.uid }),
          ...(identity.extra && { extra: identity.extra }),
          resourceAttributes: {
            verb: 'create',
            version: 'v1',
            resource: 'pods',
            subresource: execs(access) ? 'exec' : 'portforward',
            namespace: access.namespace,
            name: access.sandbox,
          },
        },
      },
      { signal: AbortSignal.timeout(ASK_MS) },
    )
    return status?.allowed ?? false
  }

  return async (access) => {
    const token = bearerToken(access.headers)
    if (token === undefined) throw unauthenticated()
    // Not the token itself: what is read out of this memory must be of no use.
    const key = createHash('sha256').update(token).digest('base64')
    const identity = await identities.of(key, () => identify(token))
    if (!identity) throw unauthenticated()
    const target = `${access.namespace}/${access.sandbox}/${execs(access)}`
    if (!(await decisions.of(`${key} ${target}`, () => mayReach(identity, access)))) throw forbidden()
  }
}

interface Memory<V> {
  /** What is remembered, else what is asked for, which all who ask meanwhile share. */
  of(key: string, ask: () => Promise<V>): Promise<V>
}

function createMemory<V>(now: () => number): Memory<V> {
  const known = new Map<string, { answer: Promise<V>; until: number }>()
  return {
    async of(key, ask) {
      const remembered = known.get(key)
      if (remembered && remembered.until > now()) return remembered.answer
      const entry = { answer: asked(), until: now() + REMEMBER_MS }
      known.delete(key)
      known.set(key, entry)
      const oldest = known.size > REMEMBERED ? known.keys().next().value : undefined
      if (oldest !== undefined) known.delete(oldest)
      return await entry.answer

      async function asked(): Promise<V> {
        try {
          return await ask()
        } catch (cause) {
          // Of nobody's token is it known: who asks again may be answered.
          entry.until = 0
          throw new RouterError(500, 'the API server could not be asked who this is', { cause })
        }
      }
    },
  }
}
