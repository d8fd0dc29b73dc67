/** A request that the router answers itself. */
import type { RawHeaders } from '@caisson/api'
import type { Client } from '@caisson/client'
import { type Exchange, endWith, sendHead } from '../proxy/exchange.ts'
import type { SandboxPod } from '../routing/sandbox-pods.ts'
import { type ByteRange, byteRange } from './byte-range.ts'
import type { Opened, SandboxFiles } from './files.ts'
import type { HeldBytes } from './held-bytes.ts'

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
  /** What it holds. */
  held: HeldBytes
}

/** Sends what the request asks for of a file: all of it, or the part that `Range` names. False where it is a directory. */
export async function sendAsked(
  call: RuntimeCall,
  files: SandboxFiles,
  { path, headers = [] }: { path: string; headers?: RawHeaders },
): Promise<boolean> {
  const part = await partOf(call, files, path)
  if (part === 'none') return true
  await using opened = await files.open(path, call.signal, part)
  if (opened.kind === 'directory') return false
  await sendFile(call, opened, headers)
  return true
}

/** `none`: there is no such part, which the client has been told. */
async function partOf(call: RuntimeCall, files: SandboxFiles, path: string): Promise<ByteRange | 'none' | undefined> {
  const { range, 'if-range': unchanged } = call.exchange.request.headers
  if (range === undefined) return undefined
  const found = await files.look(path, call.signal)
  if (found.kind === 'directory' || !found.size) return undefined
  if (unchanged !== undefined && (found.modified === undefined || unchanged !== dateOf(found.modified)))
    return undefined
  const part = byteRange(range, found.size)
  if (part === 'none') {
    sendHead(call.exchange, 416, ['Content-Range', `bytes */${found.size}`, 'Content-Length', '0'])
    endWith(call.exchange)
  }
  return part
}

function dateOf(seconds: number): string {
  return new Date(seconds * 1000).toUTCString()
}

/** What is told of a file before its content. */
export function fileHeaders({
  size,
  modified,
}: {
  size: number | undefined
  modified: number | undefined
}): RawHeaders {
  const headers = ['Content-Type', 'application/octet-stream', 'X-Content-Type-Options', 'nosniff']
  if (modified !== undefined) headers.push('Last-Modified', dateOf(modified))
  if (size !== undefined) headers.push('Accept-Ranges', 'bytes')
  return headers
}

/**
 * Sends a file, or the part of it that was asked for, of the size that it was said to have: one that is shorter breaks the
 * connection off.
 */
async function sendFile(call: RuntimeCall, file: Extract<Opened, { kind: 'file' }>, more: RawHeaders): Promise<void> {
  const { exchange } = call
  const { part, size } = file
  const length = part ? part.length : size
  const headers = [...fileHeaders(file), ...more]
  if (part) headers.push('Content-Range', `bytes ${part.offset}-${part.offset + part.length - 1}/${size}`)
  if (length !== undefined) headers.push('Content-Length', String(length))
  sendHead(exchange, part ? 206 : 200, headers)
  const { response } = exchange
  let left = length ?? Number.POSITIVE_INFINITY
  for await (const chunk of file.content as AsyncIterable<Buffer>) {
    const next = chunk.subarray(0, left)
    left -= next.length
    if (next.length > 0 && !(response as NodeJS.WritableStream).write(next)) await drained(call)
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
export async function readJson({ exchange, held }: RuntimeCall): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of exchange.request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > JSON_LIMIT) return undefined
    held.add(chunk.length)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    return undefined
  }
}
