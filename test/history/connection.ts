/** Requests of one client, each sent once: what broke is not tried again, since that it may have happened is the point. */
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'

export interface Answer {
  status: number
  // oxlint-disable-next-line no-explicit-any -- the answers of a server are of every shape
  body: any
}

export interface Connection extends Disposable {
  /** Rejects where no whole answer came. */
  send(method: string, path: string, options?: SendOptions): Promise<Answer>
  /** The text of an answer that is no JSON. */
  read(path: string): Promise<string>
  /** Resolves with the head of an answer that goes on. */
  open(path: string, query: Record<string, string>): Promise<{ request: ClientRequest; response: IncomingMessage }>
}

export interface SendOptions {
  query?: Record<string, string>
  body?: unknown
  contentType?: string
}

export interface Endpoint {
  port: number
  token: string
  ca(): string
}

/** A server that says nothing for so long, ms, has lost the request. */
const PATIENCE_MS = 20_000

export function createConnection({ port, token, ca }: Endpoint): Connection {
  let agent: Agent | undefined

  function start(
    method: string,
    path: string,
    { query = {}, body, contentType = 'application/json' }: SendOptions,
  ): ClientRequest {
    agent ??= new Agent({ keepAlive: true, ca: ca() })
    const search = new URLSearchParams(query).toString()
    const text = body === undefined ? undefined : JSON.stringify(body)
    const request = httpsRequest(`https://127.0.0.1:${port}${path}${search && `?${search}`}`, {
      method,
      agent,
      headers: {
        authorization: `Bearer ${token}`,
        ...(text !== undefined && { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }),
      },
    })
    request.end(text)
    return request
  }

  /** Others on the same connection would be lost too: the next request has a new one. */
  function forget(): void {
    agent?.destroy()
    agent = undefined
  }

  function exchange(method: string, path: string, options: SendOptions): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const request = start(method, path, options)
      const fail = (error: Error): void => {
        forget()
        reject(error)
      }
      request.setTimeout(PATIENCE_MS, () => request.destroy(new Error('no answer')))
      request.on('error', fail)
      request.on('response', (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('error', fail)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      })
    })
  }

  return {
    async send(method, path, options = {}) {
      const { status, text } = await exchange(method, path, options)
      return { status, body: JSON.parse(text) as unknown }
    },
    async read(path) {
      return (await exchange('GET', path, {})).text
    },
    open(path, query) {
      return new Promise((resolve, reject) => {
        const request = start('GET', path, { query })
        request.on('error', reject)
        request.on('response', (response) => resolve({ request, response }))
      })
    },
    [Symbol.dispose]: forget,
  }
}
