/** Asks a webhook: one HTTPS request, one answer, within the time that it has. */
import { randomUUID } from 'node:crypto'
import { Agent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import type { Status } from '@caisson/api'
import { onOtherProtocol } from '../../http/other-protocol.ts'
import { jsonSyntaxError } from '../../verbs/json-syntax-error.ts'
import { type DialService, serviceAgent } from './service-agent.ts'

export interface ServiceReference {
  namespace: string
  name: string
  path?: string
  port?: number
}

export interface ClientConfig {
  url?: string
  service?: ServiceReference
  /** PEM, in base64. */
  caBundle?: string
}

export interface ReviewAnswer {
  uid?: string
  allowed?: boolean
  status?: Partial<Status> | null
  /** JSON Patch, in base64. */
  patch?: string | null
  patchType?: string | null
  warnings?: readonly string[] | null
  auditAnnotations?: Readonly<Record<string, string>> | null
}

export interface ReviewCall {
  client: ClientConfig
  /** `v1` or `v1beta1`. */
  version: string
  attributes: Readonly<Record<string, unknown>>
  timeoutSeconds: number
  /** Whether it may answer with a patch. */
  mutating: boolean
}

/** Why no judgement came, in the words of client-go; what comes before them is the caller's. */
export class WebhookError extends Error {
  override readonly name = 'WebhookError'
}

/** Webhooks whose connections are kept while nobody asks them. */
const MOST_IDLE = 100

export const MAX_ANSWER_BYTES = 3 << 20

export interface WebhookRequest {
  client: ClientConfig
  body: string
  timeoutSeconds: number
  /** Of the answer; more is an error. */
  maxBytes: number
  userAgent: string
}

/** The text of a successful answer. Rejects with a WebhookError. */
export type WebhookClient = (request: WebhookRequest) => Promise<string>

/** Connections are kept, as each request may ask the same webhook again. */
export function createWebhookClient(dial: DialService | undefined, longestDialMs?: number): WebhookClient & Disposable {
  const agents = new Map<string, Agent>()

  function agentOf({ service, caBundle = '' }: ClientConfig): Agent {
    const key = `${service ? `${service.namespace}/${service.name}:${service.port ?? 443}` : ''} ${caBundle}`
    let agent = agents.get(key)
    if (agent) return agent
    const ca = caBundle ? Buffer.from(caBundle, 'base64') : undefined
    const tls = ca ? { ca } : {}
    agent = service
      ? serviceAgent(service, { dial, tls, ...(longestDialMs !== undefined && { longestDialMs }) })
      : new Agent({ keepAlive: true, ...tls })
    if (agents.size >= MOST_IDLE) forgetIdle()
    agents.set(key, agent)
    return agent
  }

  /** Bundles change: what is no longer used is dropped with what is not used now. */
  function forgetIdle(): void {
    for (const [key, agent] of agents) {
      if (Object.keys(agent.sockets).length > 0) continue
      agent.destroy()
      agents.delete(key)
    }
  }

  function forget(): void {
    for (const agent of agents.values()) agent.destroy()
    agents.clear()
  }

  function call(request: WebhookRequest): Promise<string> {
    const url = urlOf(request.client)
    url.searchParams.set('timeout', `${request.timeoutSeconds}s`)
    return post(url, agentOf(request.client), request)
  }

  return Object.assign(call, { [Symbol.dispose]: forget })
}

export type ReviewCaller = (call: ReviewCall) => Promise<ReviewAnswer>

/** Asks with AdmissionReviews. */
export function createReviewCaller(ask: WebhookClient): ReviewCaller {
  return async ({ client, version, attributes, timeoutSeconds, mutating }) => {
    const uid = randomUUID()
    const apiVersion = `admission.k8s.io/${version}`
    const body = JSON.stringify({ kind: 'AdmissionReview', apiVersion, request: { uid, ...attributes } })
    const userAgent = 'kube-apiserver-admission'
    let text: string
    try {
      text = await ask({ client, body, timeoutSeconds, maxBytes: MAX_ANSWER_BYTES, userAgent })
    } catch (error) {
      if (!(error instanceof WebhookError)) throw error
      throw new WebhookError(`failed to call webhook: ${error.message}`, { cause: error })
    }
    return verified(text, { uid, apiVersion, version, mutating })
  }
}

function urlOf({ url, service }: ClientConfig): URL {
  if (url !== undefined) return new URL(url)
  const { namespace, name, path = '', port = 443 } = service as ServiceReference
  const target = new URL(`https://${name}.${namespace}.svc:${port}`)
  target.pathname = path
  return target
}

/** How client-go prints the address: its default port is part of it where the configuration names a Service. */
function printed(url: URL): string {
  const host = url.port === '' && url.hostname.endsWith('.svc') ? `${url.hostname}:443` : url.host
  return `https://${host}${url.pathname}${url.search}`
}

function post(url: URL, agent: Agent, { body, timeoutSeconds, maxBytes, userAgent }: WebhookRequest): Promise<string> {
  const about = `Post ${JSON.stringify(printed(url))}`
  return new Promise((resolve, reject) => {
    const fail = (said: string): void => reject(new WebhookError(said))
    const signal = AbortSignal.timeout(timeoutSeconds * 1000)
    const request = httpsRequest(
      url,
      {
        method: 'POST',
        agent,
        signal,
        ...(isIP(url.hostname) === 0 && { servername: url.hostname }),
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, */*',
          'content-length': Buffer.byteLength(body),
          'user-agent': userAgent,
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        let length = 0
        response.on('data', (chunk: Buffer) => {
          length += chunk.length
          if (length <= maxBytes) chunks.push(chunk)
          else request.destroy(new Error(`its answer is longer than ${maxBytes} bytes`))
        })
        response.on('error', (error) => fail(`${about}: ${error.message}`))
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const code = response.statusCode ?? 0
          if (code >= 200 && code < 300) resolve(text)
          else fail(refusal(code, text))
        })
      },
    )
    onOtherProtocol(request, (statusCode) => fail(refusal(statusCode, '')))
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (signal.aborted) fail(`${about}: context deadline exceeded`)
      else if (error.code === 'ECONNREFUSED') fail(`${about}: dial tcp ${url.host}: connect: connection refused`)
      else fail(`${about}: ${error.message}`)
    })
    request.end(body)
  })
}

/** What client-go makes of an answer that is no success. */
function refusal(code: number, text: string): string {
  if (code === 404) return 'the server could not find the requested resource'
  if (code === 403) return text.trim() || 'unknown'
  return code >= 500
    ? `an error on the server (${JSON.stringify(text.trim())}) has prevented the request from succeeding`
    : `the server responded with the status code ${code}`
}

interface Review {
  kind?: string
  apiVersion?: string
  response?: ReviewAnswer | null
}

function decoded(text: string): Review | null {
  try {
    return JSON.parse(text) as Review | null
  } catch {
    const said = jsonSyntaxError(Buffer.from(text))
    throw new WebhookError(`failed to call webhook: couldn't get version/kind; json parse error: ${said}`)
  }
}

function verified(
  text: string,
  { uid, apiVersion, version, mutating }: { uid: string; apiVersion: string; version: string; mutating: boolean },
): ReviewAnswer {
  const invalid = (said: string): WebhookError => new WebhookError(`received invalid webhook response: ${said}`)
  const review = decoded(text)
  const { kind = '', apiVersion: found = '' } = typeof review === 'object' ? (review ?? {}) : {}
  if (kind !== 'AdmissionReview' || found !== apiVersion) {
    const said = `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(found)}`
    throw new WebhookError(`failed to call webhook: ${said} in scheme "pkg/runtime/scheme.go:110"`)
  }
  const answer = review?.response
  if (typeof answer !== 'object' || answer === null) throw invalid('webhook response was absent')
  if (version !== 'v1') return { ...answer, ...(mutating && answer.patch && { patchType: 'JSONPatch' }) }
  if (answer.uid !== uid)
    throw invalid(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(answer.uid ?? '')}`)
  if (mutating) {
    if (answer.patch && !answer.patchType) throw invalid('webhook returned response.patch but not response.patchType')
    if (!answer.patch && answer.patchType) throw invalid('webhook returned response.patchType but not response.patch')
  } else {
    if (answer.patch) throw invalid('validating webhook may not return response.patch')
    if (answer.patchType) throw invalid('validating webhook may not return response.patchType')
  }
  return answer
}
