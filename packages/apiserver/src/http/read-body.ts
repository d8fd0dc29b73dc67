/** Reads a request's body, no further than the limit, and decodes it. */
import type { IncomingMessage } from 'node:http'
import { decodeProtobuf, ProtobufError } from '../protobuf/decode.ts'
import { PROTOBUF_TYPE } from '../protobuf/messages.ts'
import { StatusError } from '../status-error.ts'
import type { Body } from '../verbs/call.ts'
import { checkShape, decodeJson } from '../verbs/decode.ts'
import { badRequest, tooLarge, unsupportedMediaType } from '../verbs/errors.ts'
import { yamlThread } from './yaml-thread.ts'

/** kube-apiserver's limit. */
const MAX_BODY_BYTES = 3 << 20
/** A body that is too large is still read to its end, so that the client reads the answer; but not one of any size. */
const MAX_DISCARDED_BYTES = 16 << 20

const YAML_TYPES: ReadonlySet<string> = new Set(['application/yaml', 'application/apply-patch+yaml'])
const JSON_TYPES: ReadonlySet<string> = new Set([
  '',
  'application/json',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
])

/** By what its head says of it. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

export interface BodyReading {
  /** Told how many of its bytes are held; the reading ends with what it throws. */
  hold?(bytes: number): void
  /** Waited for before it is decoded. */
  turn?(): Promise<void> | undefined
  /** Whose time it takes. */
  share?: string
}

/** Undefined where the body is empty; an empty one in protobuf says of itself that it is no object. */
export async function readBody(
  request: IncomingMessage,
  contentType: string,
  { hold, turn, share = '' }: BodyReading = {},
): Promise<Body | undefined> {
  const isYaml = YAML_TYPES.has(contentType)
  const isProtobuf = contentType === PROTOBUF_TYPE
  if (!isYaml && !isProtobuf && !JSON_TYPES.has(contentType))
    throw unsupportedMediaType(['application/json', 'application/yaml', PROTOBUF_TYPE])
  const bytes = await readBytes(request, hold)
  await turn?.()
  if (isProtobuf) return decodeProtobufBody(bytes)
  return bytes.length === 0 ? undefined : await decodeBody(bytes.toString(), isYaml, share)
}

/** Of a body that is none, what its error quotes. */
const QUOTED_BYTES = 64

function decodeProtobufBody(bytes: Buffer): Body {
  try {
    const value = decodeProtobuf(bytes)
    checkShape(value)
    return { value, duplicates: [], text: '' }
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error
    const text = bytes.toString('latin1', 0, QUOTED_BYTES)
    return { value: undefined, duplicates: [], text, error: error.message, binary: true }
  }
}

/** Longer ones are not read again, only to tell which line it was. */
const LONGEST_READ_TWICE = 16 << 10

async function repeatedLinesOf(json: string, share: string): Promise<readonly string[] | undefined> {
  if (json.length > LONGEST_READ_TWICE) return undefined
  try {
    return (await yamlThread.decode(json, share)).repeatedLines
  } catch {
    // JSON that is no YAML: the keys' paths are said instead.
    return undefined
  }
}

async function decodeBody(text: string, isYaml: boolean, share: string): Promise<Body> {
  try {
    if (isYaml && !text.startsWith('{')) return { ...(await yamlThread.decode(text, share)), text }
    const { value, duplicates } = decodeJson(text)
    // JSON is YAML too, and what is said of its keys is what is said of YAML's.
    const repeatedLines = isYaml && duplicates.length > 0 ? await repeatedLinesOf(text, share) : undefined
    return { value, duplicates, text, ...(repeatedLines && { repeatedLines }) }
  } catch (error) {
    if (error instanceof StatusError) throw error
    return { value: undefined, duplicates: [], text, error: (error as Error).message }
  }
}

function readBytes(request: IncomingMessage, hold: BodyReading['hold']): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let length = 0
    let refused = false
    const take = (): void => {
      if (length > MAX_DISCARDED_BYTES) throw tooLarge(MAX_BODY_BYTES)
      hold?.(length <= MAX_BODY_BYTES ? length : 0)
    }
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (refused) return
      if (length <= MAX_BODY_BYTES) chunks.push(chunk)
      else chunks = []
      try {
        take()
      } catch (error) {
        refused = true
        chunks = []
        reject(error)
      }
    })
    request.on('end', () => {
      if (length > MAX_BODY_BYTES) reject(tooLarge(MAX_BODY_BYTES))
      else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
    })
    // Whoever hangs up, or sends what is no HTTP: not a failure of this server.
    const incomplete = (): void => reject(badRequest('the connection closed before the body was complete'))
    request.on('error', incomplete)
    request.on('close', () => {
      // Every request closes: an error with its stack is made only for those that it is told of.
      if (!request.complete) incomplete()
    })
  })
}
