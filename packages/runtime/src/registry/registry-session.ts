/** Requests about one repository to one server: finds out how to authenticate, does so, and tries again where that may help. */
import { RuntimeError } from '../runtime-error.ts'
import { isWithinReach, type Reach } from './address-guard.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import type { RegistryCredential } from './credentials.ts'
import type { Answer, Exchange, ExchangeRequest } from './exchange.ts'
import { readBounded } from './read-bounded.ts'
import type { RegistryEndpoint } from './registry-config.ts'
import { lie, registryError, TransientFailure } from './registry-failure.ts'
import { type RetryOptions, retryAfterMs, withRetries } from './retry.ts'

export interface SessionOptions {
  exchange: Exchange
  endpoint: RegistryEndpoint
  repository: string
  credentials: readonly RegistryCredential[]
  /** Whoever named the image may pull from this machine itself. */
  trusted: boolean
  /** `pull`, or `pull,push`. */
  actions: string
}

export interface RegistrySession {
  readonly host: string
  readonly repository: string
  /** What authentication was asked for, and with which credential it was given; undefined for none. */
  readonly used: RegistryCredential | undefined
  /**
   * Asks for a path below `/v2/<repository>/`. Resolves with an answer of the 200s, or of the 400s but those that are
   * about who asks.
   * @throws RuntimeError `registry-denied`, `registry-refused`
   * @throws TransientFailure for what may pass
   */
  send(path: string, request: SessionRequest): Promise<Answer>
  /** The same, again and again within reason, until the answer has been read. */
  read<T>(path: string, request: SessionRequest, use: (answer: Answer) => Promise<T>): Promise<T>
}

export interface SessionRequest extends Pick<RetryOptions, 'deadline' | 'progressed'> {
  method?: ExchangeRequest['method']
  headers?: () => Record<string, string>
  body?: () => ExchangeRequest['body']
  signal: AbortSignal
}

const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504])
const LONGEST_TOKEN_ANSWER = 256 * 1024

export function createSession(options: SessionOptions): RegistrySession {
  const { exchange, repository, actions } = options
  const tellsWhy = options.trusted || options.endpoint.isConfigured
  const most: Reach = tellsWhy ? 'this-machine' : 'private'
  let { origin } = options.endpoint
  const { tls } = options.endpoint
  let authorization: string | undefined
  let used: RegistryCredential | undefined
  const untried: Array<RegistryCredential | undefined> =
    options.credentials.length > 0 ? [...options.credentials] : [undefined]

  async function exchangeOnce(path: string, request: SessionRequest): Promise<Answer> {
    const build = (): ExchangeRequest => ({
      method: request.method ?? 'GET',
      url:
        path.startsWith('https:') || path.startsWith('http:')
          ? new URL(path)
          : new URL(path, `${origin}/v2/${repository}/`),
      headers: { ...request.headers?.(), ...(authorization !== undefined && { authorization }) },
      most,
      tls,
      tellsWhy,
      signal: request.signal,
      answerBy: request.deadline,
      body: request.body?.(),
    })
    try {
      return await exchange.send(build())
    } catch (error) {
      if (!options.endpoint.mayBePlain || origin.startsWith('http:') || !speaksNoTls(error)) throw error
      origin = `http://${origin.slice('https://'.length)}`
      return exchange.send(build())
    }
  }

  async function send(path: string, request: SessionRequest): Promise<Answer> {
    for (;;) {
      const sentWith = authorization
      const answer = await exchangeOnce(path, request)
      const { status, headers } = answer
      if (status >= 200 && status < 300) return answer
      answer.discard()
      // Where it redirects to is another server's business: signatures in such an address end after a while.
      if ((status === 401 || status === 403) && answer.url.host !== new URL(origin).host)
        throw new TransientFailure(`${answer.url.host} answered with status ${status}`, { answered: true })
      if (status === 401 || status === 403) {
        await authenticateInTurn(sentWith, answer, request.signal)
        continue
      }
      if (TRANSIENT.has(status))
        throw new TransientFailure(`${options.endpoint.host} answered with status ${status}`, {
          answered: true,
          retryAfterMs: retryAfterMs(headers['retry-after'], Date.now()),
        })
      if (status >= 400 && status < 500) return answer
      throw registryError('registry-unavailable', `${options.endpoint.host} answered with status ${status}`)
    }
  }

  /** Tokens end in the middle of a pull: one that worked is renewed with the credential that it came from. */
  let renewable = false

  let authenticating: Promise<void> = Promise.resolve()

  /** What is sent side by side is refused side by side: the first authenticates, and the others try again with that. */
  async function authenticateInTurn(sentWith: string | undefined, answer: Answer, signal: AbortSignal): Promise<void> {
    const before = authenticating
    const turn = (async () => {
      await before
      if (authorization === sentWith) await authenticate(answer, signal)
    })()
    authenticating = turn.catch(() => undefined)
    await turn
  }

  async function authenticate(answer: Answer, signal: AbortSignal): Promise<void> {
    const challenges = parseChallenges(answer.headers['www-authenticate'])
    if (answer.status === 401 && renewable) {
      renewable = false
      authorization = await authorize(challenges, used, { answer, signal })
      return
    }
    for (;;) {
      if (untried.length === 0) throw denied(answer)
      used = untried.shift()
      try {
        authorization = await authorize(challenges, used, { answer, signal })
        return
      } catch (error) {
        if (!(error instanceof RuntimeError) || error.code !== 'registry-denied' || untried.length === 0) throw error
      }
    }
  }

  async function authorize(
    challenges: Challenge[],
    credential: RegistryCredential | undefined,
    { answer, signal }: { answer: Answer; signal: AbortSignal },
  ): Promise<string> {
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
    if (bearer) return `Bearer ${await fetchToken(bearer, credential, { answer, signal })}`
    const basic = challenges.some(({ scheme }) => scheme === 'basic')
    if (!basic || credential === undefined || 'identityToken' in credential) throw denied(answer)
    return basicAuthorization(credential)
  }

  async function fetchToken(
    { parameters }: Challenge,
    credential: RegistryCredential | undefined,
    { answer, signal }: { answer: Answer; signal: AbortSignal },
  ): Promise<string> {
    const realm = URL.parse(parameters.get('realm') ?? '')
    if (!realm || !/^https?:$/.test(realm.protocol)) throw lie(`${answer.url.host} names no place to get a token from`)
    if (answer.url.protocol === 'https:' && realm.protocol === 'http:')
      throw registryError('registry-refused', `${answer.url.host} sends for a token over plain HTTP, to ${realm.host}`)
    const service = parameters.get('service')
    const scope = `repository:${repository}:${actions}`
    const fields: Array<[string, string]> = [
      ...(service === undefined ? [] : [['service', service] as [string, string]]),
      ['scope', scope],
    ]
    const common = {
      // A registry may send for tokens to where it is itself, and further out, never further in.
      most: realm.origin === answer.url.origin || !isWithinReach(answer.reach, most) ? most : answer.reach,
      tls,
      tellsWhy,
      signal,
    }
    const token =
      credential && 'identityToken' in credential
        ? await exchange.send({
            ...common,
            method: 'POST',
            url: realm,
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
            body: new URLSearchParams([
              ...fields,
              ['grant_type', 'refresh_token'],
              ['client_id', 'caisson'],
              ['refresh_token', credential.identityToken],
            ]).toString(),
          })
        : await exchange.send({
            ...common,
            method: 'GET',
            url: withQuery(realm, fields),
            headers: credential === undefined ? {} : { authorization: basicAuthorization(credential) },
          })
    return readToken(token)
  }

  async function readToken(answer: Answer): Promise<string> {
    const { status, url } = answer
    if (status !== 200) {
      answer.discard()
      if (TRANSIENT.has(status))
        throw new TransientFailure(`${url.host} answered with status ${status}`, {
          answered: true,
          retryAfterMs: retryAfterMs(answer.headers['retry-after'], Date.now()),
        })
      throw denied(answer)
    }
    const text = (await readBounded(answer, LONGEST_TOKEN_ANSWER)).toString('utf8')
    const body = parseObject(text)
    const token = body?.['token'] ?? body?.['access_token']
    // It goes into a header.
    if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) throw lie(`${url.host} gave no token`)
    return token
  }

  function denied({ status }: Answer): RuntimeError {
    const who = used === undefined ? 'without credentials' : 'with the credentials given'
    return registryError(
      'registry-denied',
      `${options.endpoint.host} does not give out ${repository} ${who} (status ${status}): it may be private, or not exist`,
    )
  }

  return {
    host: options.endpoint.host,
    repository,
    get used() {
      return used
    },
    send: async (path, request) => {
      const answer = await send(path, request)
      renewable = authorization !== undefined
      return answer
    },
    read: (path, request, use) =>
      withRetries(async () => {
        const answer = await send(path, request)
        renewable = authorization !== undefined
        return use(answer)
      }, request),
  }
}

function basicAuthorization({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function withQuery(url: URL, fields: Array<[string, string]>): URL {
  const full = new URL(url)
  for (const [name, value] of fields) full.searchParams.append(name, value)
  return full
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function speaksNoTls(error: unknown): boolean {
  if (!(error instanceof TransientFailure)) return false
  const { code } = error.cause as NodeJS.ErrnoException
  return code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG'
}
