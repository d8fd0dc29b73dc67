/**
 * Tokens of the cluster: the API server says whose a token is, and whether that user may reach the Sandbox. Reaching a
 * port of a Sandbox is `create pods/portforward` of its Pod, and having the router answer for it, which executes
 * commands, is `create pods/exec`.
 */
import { createHash } from 'node:crypto'
import { type Client, resources } from '@caisson/client'
import { RouterError } from '../router-error.ts'
import { type Access, type Authorize, bearerToken, forbidden, tooMany, unauthenticated } from './authorize.ts'
import { createPatience } from './patience.ts'

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
/**
 * Of tokens that nobody knows, by address, and of Sandboxes that a user may not reach. As many tokens as are shown for the
 * first time at once have to be asked about side by side: a fleet of 500.
 */
const PATIENCE = { burst: 500, rate: 5 }

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
  const identities = createMemory<Identity>(now)
  const decisions = createMemory<true>(now)
  // Of their own: whoever makes up tokens, or names of Sandboxes, has nothing forgotten that is worth remembering.
  const strangers = createRefusals(now)
  const refusals = createRefusals(now)
  const patience = createPatience({ ...PATIENCE, now })

  /** What is asked of the API server and comes to nothing, it is not asked as often as somebody likes. */
  async function unlessInVain<T>(client: string, ask: () => Promise<T>): Promise<T> {
    if (!patience.spend(client)) throw tooMany()
    let answer: T | undefined
    let answered = false
    try {
      answer = await ask()
      answered = true
      return answer
    } finally {
      // That the API server does not answer is not the client's fault.
      if (answer || !answered) patience.forgive(client)
    }
  }

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
    if (strangers.has(key)) throw unauthenticated()
    const identity = await identities.of(key, async () => {
      const found = await unlessInVain(access.peer, () => identify(token))
      if (!found) strangers.add(key)
      return found ?? unauthenticated()
    })
    const target = `${access.namespace}/${access.sandbox}/${execs(access)}`
    const decision = `${key} ${target}`
    if (refusals.has(decision)) throw forbidden()
    await decisions.of(decision, async () => {
      const may = await unlessInVain(`user ${identity.user}`, () => mayReach(identity, access))
      if (!may) refusals.add(decision)
      return may || forbidden()
    })
    return `user ${identity.user}`
  }
}

interface Memory<V> {
  /** What is remembered, else what is asked for, which all who ask meanwhile share. A refusal is thrown and not kept. */
  of(key: string, ask: () => Promise<V | RouterError>): Promise<V>
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
          const answer = await ask()
          if (!(answer instanceof RouterError)) return answer
          throw answer
        } catch (cause) {
          if (known.get(key) === entry) known.delete(key)
          if (cause instanceof RouterError) throw cause
          throw new RouterError(500, 'the API server could not be asked who this is', { cause })
        }
      }
    },
  }
}

/** What was refused, for as long as an answer is taken for true. */
function createRefusals(now: () => number): { has(key: string): boolean; add(key: string): void } {
  const until = new Map<string, number>()
  return {
    has: (key) => (until.get(key) ?? 0) > now(),
    add(key) {
      until.delete(key)
      until.set(key, now() + REMEMBER_MS)
      const oldest = until.size > REMEMBERED ? until.keys().next().value : undefined
      if (oldest !== undefined) until.delete(oldest)
    },
  }
}
