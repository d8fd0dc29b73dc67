/** Writes an answer: status, headers, body. */
import type { ServerResponse } from 'node:http'
import { PROTOBUF_TYPE } from '../protobuf/messages.ts'
import { StatusError } from '../status-error.ts'
import type { Answer, Call } from '../verbs/call.ts'
import { badRequest } from '../verbs/errors.ts'
import { compress, isCompressed } from './compress.ts'
import { encodeJson, encodeProtobuf, type Pieces } from './encode-answer.ts'
import { type Accepted, errorEncoding } from './negotiate.ts'
import { SLICE_BYTES, streamPieces } from './stream-pieces.ts'
import { TOO_LONG_FOR_YAML, yamlThread } from './yaml-thread.ts'

/** Together; beyond it warnings are cut short, and then left out. As kube-apiserver does. */
const MAX_WARNING_BYTES = 4096
const MAX_CUT_WARNING = 256

const UNCACHED = 'no-cache, private'

export interface Form {
  accepted: Accepted
  /** The request's Accept-Encoding. */
  acceptEncoding: string | string[] | undefined
  warnings: readonly string[]
  /** Whose time it takes. */
  share: string
  /** Waited for between the pieces of a long list. */
  turn(): Promise<void> | undefined
  /** An answer that its client has not taken after so long, ms, is given up. */
  stalledMs: number
  /** Counts bytes that wait for the client until what is returned is called. */
  hold(bytes: number): () => void
}

/** Settles when a large answer is over, and where it is none when it has been written. */
export async function respond(response: ServerResponse, answer: Answer, form: Form): Promise<void> {
  if (answer.status === 304) return respondUnchanged(response, answer)
  const encoded = await encodeAnswer(answer, form.accepted.encoding, { response, share: form.share })
  const { type, charset } = encoded
  const headers: string[] = ['Cache-Control', answer.cacheControl ?? UNCACHED, 'Content-Type', type]
  const content = 'pieces' in encoded ? await wholeOrPieces(encoded.pieces, form) : encoded.content
  if (typeof content !== 'string' && !Buffer.isBuffer(content)) {
    const gzip = isCompressed(form.acceptEncoding, Infinity)
    if (gzip) headers.push(...GZIP)
    if (answer.headers) headers.push(...answer.headers)
    addWarnings(headers, form.warnings)
    response.writeHead(answer.status, headers)
    return streamPieces(response, content, { ...form, charset, gzip })
  }
  const plain = Buffer.byteLength(content, charset)
  const isLarge = isCompressed(form.acceptEncoding, plain)
  const compressed = isLarge
    ? await compress(charset === 'latin1' ? Buffer.from(content as string, charset) : content)
    : undefined
  if (compressed) headers.push(...GZIP)
  const bytes = compressed?.length ?? plain
  headers.push('Content-Length', String(bytes))
  if (answer.headers) headers.push(...answer.headers)
  addWarnings(headers, form.warnings)
  response.writeHead(answer.status, headers)
  // A string goes out in one write together with the headers.
  if (bytes <= SLICE_BYTES) return void response.end(compressed ?? content, charset)
  if (response.closed) return
  response.once('close', form.hold(bytes))
  await streamPieces(response, [compressed ?? content], { ...form, charset, gzip: false })
}

const GZIP = ['Content-Encoding', 'gzip', 'Vary', 'Accept-Encoding']

/** All of it where it is one piece. */
async function wholeOrPieces(pieces: Pieces, { turn }: Pick<Form, 'turn'>): Promise<string | Iterable<string>> {
  let first = pieces.next()
  while (first.value === '') {
    await turn()
    first = pieces.next()
  }
  const second = pieces.next()
  return first.done || second.done ? (first.value ?? '') : continued([first.value, second.value], pieces)
}

function* continued(begun: readonly string[], rest: Pieces): Generator<string> {
  try {
    yield* begun
    yield* rest
  } finally {
    rest.return(undefined)
  }
}

/** Says nothing of a body: clients take what it says for what is to be said of theirs. */
function respondUnchanged(response: ServerResponse, { headers = [], cacheControl = UNCACHED }: Answer): void {
  response.writeHead(304, ['Cache-Control', cacheControl, ...headers])
  response.end()
}

type Encoded = ({ content: string | Buffer } | { pieces: Pieces }) & {
  type: string
  charset: 'utf8' | 'latin1'
}

function encodeAnswer(answer: Answer, encoding: Accepted['encoding'], client: Client): Encoded | Promise<Encoded> {
  const { body, contentType } = answer
  if (typeof body === 'string' || Buffer.isBuffer(body))
    return { type: contentType ?? 'text/plain; charset=utf-8', content: body, charset: 'utf8' }
  if (encoding === 'protobuf') return { type: PROTOBUF_TYPE, pieces: encodeProtobuf(answer), charset: 'latin1' }
  if (encoding === 'yaml') return encodeYaml(answer, client)
  return { type: contentType ?? 'application/json', pieces: encodeJson(answer), charset: 'utf8' }
}

interface Client {
  response: ServerResponse
  /** Whose time it takes. */
  share: string
}

/** Characters of JSON: what makes YAML of them has no memory for many more, and to make them alone takes a tenth of a second. */
const MOST_FOR_YAML = 16 << 20

async function encodeYaml(answer: Answer, { response, share }: Client): Promise<Encoded> {
  const json = (): string => {
    if (response.closed) throw badRequest('the connection closed before the request was answered')
    let text = ''
    for (const piece of encodeJson(answer)) {
      text += piece
      if (text.length > MOST_FOR_YAML) throw new StatusError('RequestEntityTooLarge', TOO_LONG_FOR_YAML)
    }
    return text
  }
  return { type: 'application/yaml', content: await yamlThread.encode(json, share), charset: 'utf8' }
}

/**
 * Never rejects.
 *
 * @param close nothing more is read of the connection
 */
export async function respondWithError(
  response: ServerResponse,
  error: StatusError,
  { accept, warnings, share }: Pick<Call, 'accept' | 'warnings' | 'share'>,
  close = false,
): Promise<void> {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const status = { status: error.code, body: error.toStatus() }
  const encoded = await encodeError(status, errorEncoding(accept), { response, share })
  const { type, charset } = encoded
  const content = 'pieces' in encoded ? [...encoded.pieces].join('') : encoded.content
  const length = String(Buffer.byteLength(content, charset))
  const headers: string[] = ['Cache-Control', UNCACHED, 'Content-Type', type, 'Content-Length', length]
  const retryAfter = error.details?.retryAfterSeconds
  if (retryAfter) headers.push('Retry-After', String(retryAfter))
  if (close) headers.push('Connection', 'close')
  addWarnings(headers, warnings)
  response.writeHead(error.code, headers)
  response.end(content, charset)
}

/** It is told in JSON where it cannot be told as it was asked for. */
async function encodeError(status: Answer, encoding: Accepted['encoding'], client: Client): Promise<Encoded> {
  try {
    return await encodeAnswer(status, encoding, client)
  } catch {
    return encodeAnswer(status, 'json', client)
  }
}

/** As header lines; the same text is said once. */
export function addWarnings(headers: string[], warnings: readonly string[]): void {
  if (warnings.length === 0) return
  const texts = [...new Set(warnings)]
  const total = texts.reduce((sum, text) => sum + text.length, 0)
  let written = 0
  for (const text of texts) {
    if (written >= MAX_WARNING_BYTES) return
    const cut = total > MAX_WARNING_BYTES ? text.slice(0, MAX_CUT_WARNING) : text
    written += cut.length
    headers.push('Warning', `299 - ${quotedString(cut)}`)
  }
}

/** Header values are bytes: UTF-8 in the clothes of Latin-1, without control characters. */
function quotedString(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters would end the header
  const clean = text.replace(/[\u0000-\u001f\u007f]+/g, ' ').replace(/["\\]/g, '\\$&')
  return `"${Buffer.from(clean).toString('latin1')}"`
}
