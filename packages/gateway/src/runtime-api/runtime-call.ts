/** A request that the router answers itself. */
import type { Client, RawHeaders } from '@caisson/client'
import { type Exchange, endWith, sendHead } from '../proxy/exchange.ts'
import type { SandboxPod } from '../routing/sandbox-pods.ts'
import type { Opened } from './files.ts'

export interface RuntimeCall {
  exchange: Exchange
  client: Client
  pod: SandboxPod
  /** As it came, without the query. */
  path: string
  query: URLSearchParams
  /** ms until whatever it does is given up and killed. */
  timeoutMs: number
  /** Aborted when the client is gone or the time is up. */
  signal: AbortSignal
}

/** Sends a file, of the size that it was said to have: one that is shorter breaks the connection off. */
export async function sendFile(
  call: RuntimeCall,
  file: Extract<Opened, { kind: 'file' }>,
  more: RawHeaders,
): Promise<void> {
  const { exchange } = call
  const headers = ['Content-Type', 'application/octet-stream', 'X-Content-Type-Options', 'nosniff', ...more]
  if (file.modified !== undefined) headers.push('Last-Modified', new Date(file.modified * 1000).toUTCString())
  if (file.size !== undefined) headers.push('Content-Length', String(file.size))
  sendHead(exchange, 200, headers)
  const { response } = exchange
  let left = file.size ?? Number.POSITIVE_INFINITY
  for await (const chunk of file.content as AsyncIterable<Buffer>) {
    const part = chunk.subarray(0, left)
    left -= part.length
    if (part.length > 0 && !(response as NodeJS.WritableStream).write(part)) await drained(call)
    if (left === 0) break
  }
  if (Number.isFinite(left) && left > 0) throw new Error(`the file ended ${left} bytes early`)
  endWith(exchange)
}

function drained({ exchange, signal }: RuntimeCall): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const abort = (): void => reject(signal.reason)
  const { response } = exchange
  const stream = response as NodeJS.WritableStream
  stream.once('drain', resolve)
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  return promise.finally(() => {
    stream.off('drain', resolve)
    signal.removeEventListener('abort', abort)
  })
}

const JSON_LIMIT = 4 * 1024 * 1024

/** The request's body, where it is JSON of at most 4 MiB. Undefined where it is none. */
export async function readJson({ exchange }: RuntimeCall): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of exchange.request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > JSON_LIMIT) return undefined
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    return undefined
  }
}
