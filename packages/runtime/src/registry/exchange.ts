/** HTTP with a server that is not trusted: every wait, length and way on has a bound. */
import type { AgentOptions, IncomingMessage, Agent as PlainAgent } from 'node:http'
import { type BlockList, isIP } from 'node:net'
import {
  guardedLookup,
  isWithinReach,
  OUT_OF_REACH,
  outOfReach,
  type Reach,
  rangesOf,
  reachOf,
} from './address-guard.ts'
import { registryError, TransientFailure } from './registry-failure.ts'

// An import would load all that the modules offer.
const plain = process.getBuiltinModule('node:http')
const secured = process.getBuiltinModule('node:https')

export interface Exchange extends Disposable {
  /**
   * Sends a request and follows redirects, without credentials to wherever else they lead.
   * @throws RuntimeError `registry-refused` for a place that is out of reach; TransientFailure for what may pass
   */
  send(request: ExchangeRequest): Promise<Answer>
}

export interface ExchangeRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH'
  url: URL
  headers: Record<string, string>
  body?: string | NodeJS.ReadableStream | undefined
  /** The innermost place that it may lead to. */
  most: Reach
  tls: { ca: string[]; skipVerify: boolean }
  /** Whether whoever asks may learn why there is no connection: else each reason reads the same. */
  tellsWhy: boolean
  signal: AbortSignal
  /** When there has to be an answer, ms since the process began. */
  answerBy?: number | undefined
}

export interface Answer {
  status: number
  headers: IncomingMessage['headers']
  /** To be read, or discarded. Ends with a TransientFailure where the server stalls or breaks off. */
  body: AsyncGenerator<Buffer>
  discard(): void
  /** Where it came from; whatever it refers to may not be further in. */
  reach: Reach
  url: URL
}

export interface ExchangeLimits {
  /** Until the first answer's head, ms. */
  headMs: number
  /** A body has to bring at least `windowBytes` in each window, unless it ends. */
  windowMs: number
  windowBytes: number
}

const EXCHANGE_LIMITS: ExchangeLimits = { headMs: 30_000, windowMs: 20_000, windowBytes: 16 * 1024 }

const MOST_REDIRECTS = 5
const REDIRECTS = new Set([301, 302, 303, 307, 308])
/** To one host at a time. */
const MOST_CONNECTIONS = 6

export interface ExchangeOptions {
  limits?: ExchangeLimits | undefined
  /** Networks of the cluster's Pods and Services. */
  clusterRanges?: readonly string[] | undefined
  /** Says which proxies to use; this machine never goes through one. */
  env?: NodeJS.ProcessEnv
}

/** Connections are kept until it is disposed of. */
export function createExchange(options: ExchangeOptions = {}): Exchange {
  const { limits = EXCHANGE_LIMITS, clusterRanges = [], env = process.env } = options
  const cluster = rangesOf(clusterRanges)
  const agents = new Map<string, PlainAgent>()
  const stop = new AbortController()

  /** One for each set of rules: a kept connection must not serve a request that could not have opened it. */
  function agentFor({ url, most, tls }: ExchangeRequest): PlainAgent {
    const secure = url.protocol === 'https:'
    const key = [secure, most, tls.skipVerify, tls.ca.length].join(' ')
    const known = agents.get(key)
    if (known) return known
    const options: AgentOptions = { keepAlive: true, maxSockets: MOST_CONNECTIONS, proxyEnv: proxyEnvironment(env) }
    const agent = secure ? new secured.Agent(options) : new plain.Agent(options)
    agents.set(key, agent)
    return agent
  }

  async function once(request: ExchangeRequest): Promise<Answer> {
    const { url, most, tls, signal } = request
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    const reach = reachOf(literal, cluster)
    if (isIP(literal) !== 0 && !isWithinReach(reach, most))
      throw registryError('registry-out-of-reach', outOfReach(literal, { address: literal, reach }).message)
    const proxies = proxyHosts(env)
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const head = new AbortController()
    const headMs = Math.max(
      1,
      Math.min(limits.headMs, (request.answerBy ?? Number.POSITIVE_INFINITY) - performance.now()),
    )
    const timer = setTimeout(() => head.abort(), headMs)
    const outgoing = (url.protocol === 'https:' ? secured : plain).request(url, {
      method: request.method,
      headers: { 'user-agent': 'caisson', 'accept-encoding': 'identity', ...request.headers },
      agent: agentFor(request),
      lookup: guardedLookup({ most, cluster }, (hostname) => hostname !== literal && proxies.has(hostname)),
      ca: tls.ca,
      rejectUnauthorized: !tls.skipVerify,
      signal: AbortSignal.any([signal, head.signal, stop.signal]),
    })
    outgoing.on('response', (body) => {
      clearTimeout(timer)
      resolve({
        status: body.statusCode ?? 0,
        headers: body.headers,
        body: paced(body, limits),
        discard: () => body.destroy(),
        reach: reachOfAnswer(url, { address: body.socket.remoteAddress, proxies, cluster }),
        url,
      })
    })
    // Without this Node would say nothing of it, and neither abort nor disposal would end the request.
    outgoing.on('upgrade', (_answer, socket) => {
      clearTimeout(timer)
      socket.destroy()
      reject(new TransientFailure(`${url.host} answered in another protocol than HTTP`, { answered: true }))
    })
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      reject(connectionFailure(error, { request, timedOut: head.signal.aborted, headMs }))
    })
    if (request.body === undefined || typeof request.body === 'string') outgoing.end(request.body)
    else request.body.on('error', (error) => outgoing.destroy(error)).pipe(outgoing)
    return promise
  }

  return {
    async send(request) {
      let current = request
      for (let followed = 0; ; followed++) {
        const answer = await once(current)
        const { location } = answer.headers
        const follows = request.method === 'GET' || request.method === 'HEAD'
        if (!follows || !REDIRECTS.has(answer.status) || location === undefined) return answer
        answer.discard()
        if (followed === MOST_REDIRECTS)
          throw registryError('registry-refused', `${request.url.host} redirects more than ${MOST_REDIRECTS} times`)
        current = redirected(current, { location, reach: answer.reach, first: request })
      }
    },
    [Symbol.dispose]() {
      stop.abort()
      for (const agent of agents.values()) agent.destroy()
    },
  }
}

function redirected(
  from: ExchangeRequest,
  { location, reach, first }: { location: string; reach: Reach; first: ExchangeRequest },
): ExchangeRequest {
  const url = URL.parse(location, from.url)
  if (!url || !/^https?:$/.test(url.protocol))
    throw registryError('registry-refused', `${from.url.host} redirects to ${JSON.stringify(location.slice(0, 200))}`)
  if (from.url.protocol === 'https:' && url.protocol === 'http:')
    throw registryError('registry-refused', `${from.url.host} redirects from TLS to plain HTTP, to ${url.host}`)
  // Credentials are for whom they were given for.
  const { authorization, ...headers } = from.headers
  const stays = url.origin === first.url.origin && authorization !== undefined
  return {
    ...from,
    url,
    headers: stays ? { ...headers, authorization } : headers,
    most: url.origin === from.url.origin || !isWithinReach(reach, from.most) ? from.most : reach,
  }
}

function connectionFailure(
  error: NodeJS.ErrnoException,
  { request, timedOut, headMs }: { request: ExchangeRequest; timedOut: boolean; headMs: number },
): Error {
  const { url, signal, tellsWhy } = request
  if (signal.aborted) return signal.reason as Error
  if (error.code === OUT_OF_REACH) return registryError('registry-out-of-reach', error.message, error)
  const { code = '' } = error
  const isUntrusted = /^(CERT_|ERR_TLS_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_)/.test(code)
  const reason = timedOut ? `it did not answer within ${(headMs / 1000).toFixed(1)} s` : describe(error)
  // Told apart, they would tell a tenant what listens where in networks that only this machine can reach.
  if (!tellsWhy)
    return new TransientFailure(
      `${url.host} cannot be reached: the log that 'caisson status' names says why; 'caisson image import FILE' brings an image without it`,
      {
        cause: error,
        answered: false,
        detail: isUntrusted ? `its certificate is not trusted (${reason})` : reason,
      },
    )
  if (isUntrusted)
    return registryError(
      'registry-refused',
      `the certificate of ${url.host} is not trusted (${error.message}): name its authority in the configuration of registries`,
      error,
    )
  return new TransientFailure(`${url.host} cannot be reached: ${reason}`, { cause: error, answered: false })
}

function describe(error: NodeJS.ErrnoException): string {
  // All addresses of a name failed.
  if (error instanceof AggregateError) return (error.errors as Error[]).map(({ message }) => message).join('; ')
  return error.message
}

/**
 * A body's bytes for as long as they keep coming: less than `windowBytes` in `windowMs` of waiting ends it, so that a
 * server that drips cannot hold a pull for ever.
 */
async function* paced(body: IncomingMessage, { windowMs, windowBytes }: ExchangeLimits): AsyncGenerator<Buffer> {
  const tooSlow = () =>
    new TransientFailure(`the server sent less than ${windowBytes} bytes in ${windowMs / 1000} s`, { answered: true })
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let waited = 0
  let received = 0
  try {
    for (;;) {
      const timer = setTimeout(() => body.destroy(tooSlow()), windowMs)
      const since = performance.now()
      const { value, done } = await chunks.next().finally(() => clearTimeout(timer))
      if (done) return
      waited += performance.now() - since
      received += value.length
      if (waited > windowMs) {
        if (received < windowBytes) throw tooSlow()
        waited = 0
        received = 0
      }
      yield value
    }
  } catch (error) {
    if (error instanceof TransientFailure) throw error
    throw new TransientFailure(`the answer was cut off: ${(error as Error).message}`, { cause: error, answered: true })
  } finally {
    body.destroy()
  }
}

function reachOfAnswer(
  url: URL,
  { address, proxies, cluster }: { address: string | undefined; proxies: ReadonlySet<string>; cluster: BlockList },
): Reach {
  const literal = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(literal) !== 0) return reachOf(literal, cluster)
  // Behind a proxy there is no telling, and what cannot be told gets no further in.
  if (address === undefined || (proxies.size > 0 && literal !== 'localhost')) return 'public'
  return reachOf(address, cluster)
}

/** `localhost` and this machine's addresses are never behind a proxy. */
function proxyEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const exceptions = [env['NO_PROXY'] || env['no_proxy'], 'localhost', '127.0.0.1', '::1', '[::1]']
  const list = exceptions.filter(Boolean).join(',')
  return { ...env, NO_PROXY: list, no_proxy: list }
}

function proxyHosts(env: NodeJS.ProcessEnv): Set<string> {
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']
  const urls = names.flatMap((name) => {
    const text = env[name]
    return text ? [URL.parse(text.includes('://') ? text : `http://${text}`)] : []
  })
  return new Set(urls.flatMap((url) => (url ? [url.hostname] : [])))
}
