/** Writes an answer: status, headers, body. */
import type { ServerResponse } from 'node:http'
import type { StatusError } from '../status-error.ts'
import type { Answer } from '../verbs/call.ts'
import { compress, isCompressed } from './compress.ts'
import { encodeJson, encodeYaml } from './encode-answer.ts'
import type { Accepted } from './negotiate.ts'

/** Together; beyond it warnings are cut short, and then left out. As kube-apiserver does. */
const MAX_WARNING_BYTES = 4096
const MAX_CUT_WARNING = 256

const COMMON = ['Cache-Control', 'no-cache, private'] as const

export interface Form {
  accepted: Accepted
  /** The request's Accept-Encoding. */
  acceptEncoding: string | string[] | undefined
  warnings: readonly string[]
}

/** Gives the length of the body as it is sent, in bytes. */
export async function respond(response: ServerResponse, answer: Answer, form: Form): Promise<number> {
  const [type, text] = encodeAnswer(answer, form.accepted)
  const plain = Buffer.byteLength(text)
  const headers: string[] = [...COMMON, 'Content-Type', type]
  const compressed = isCompressed(form.acceptEncoding, plain) ? await compress(text) : undefined
  if (compressed) headers.push('Content-Encoding', 'gzip', 'Vary', 'Accept-Encoding')
  const bytes = compressed?.length ?? plain
  headers.push('Content-Length', String(bytes))
  if (answer.headers) headers.push(...answer.headers)
  addWarnings(headers, form.warnings)
  response.writeHead(answer.status, headers)
  // A string goes out in one write together with the headers.
  response.end(compressed ?? text)
  return bytes
}

function encodeAnswer(answer: Answer, accepted: Accepted): [type: string, text: string | Buffer] {
  const { body } = answer
  if (typeof body === 'string' || Buffer.isBuffer(body))
    return [answer.contentType ?? 'text/plain; charset=utf-8', body]
  if (accepted.encoding === 'yaml') return ['application/yaml', encodeYaml(body)]
  return [answer.contentType ?? 'application/json', encodeJson(answer)]
}

export function respondWithError(
  response: ServerResponse,
  error: StatusError,
  { warnings, close }: { warnings: readonly string[]; close: boolean },
): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const text = `${JSON.stringify(error.toStatus())}\n`
  const headers: string[] = [
    ...COMMON,
    'Content-Type',
    'application/json',
    'Content-Length',
    String(Buffer.byteLength(text)),
  ]
  const retryAfter = error.details?.retryAfterSeconds
  if (retryAfter) headers.push('Retry-After', String(retryAfter))
  if (close) headers.push('Connection', 'close')
  addWarnings(headers, warnings)
  response.writeHead(error.code, headers)
  response.end(text)
}

/** As header lines; the same text is said once. */
export function addWarnings(headers: string[], warnings: readonly string[]): void {
  if (warnings.length === 0) return
  const texts = [...new Set(warnings)]
  const total = texts.reduce((sum, text) => sum + text.length, 0)
  let written = 0
  for (const text of texts) {
    const cut = total > MAX_WARNING_BYTES ? text.slice(0, MAX_CUT_WARNING) : text
    written += cut.length
    if (written > MAX_WARNING_BYTES) return
    headers.push('Warning', `299 - ${quotedString(cut)}`)
  }
}

/** Header values are bytes: UTF-8 in the clothes of Latin-1, without control characters. */
function quotedString(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters would end the header
  const clean = text.replace(/[\u0000-\u001f\u007f]+/g, ' ').replace(/["\\]/g, '\\$&')
  return `"${Buffer.from(clean).toString('latin1')}"`
}
