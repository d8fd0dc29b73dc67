/** Reads a request's body, no further than the limit, and decodes it. */
import type { IncomingMessage } from 'node:http'
import { StatusError } from '../status-error.ts'
import type { Body } from '../verbs/call.ts'
import { decodeJson, decodeYaml } from '../verbs/decode.ts'
import { badRequest, tooLarge, unsupportedMediaType } from '../verbs/errors.ts'

/** kube-apiserver's limit. */
export const MAX_BODY_BYTES = 3 << 20
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

/** Undefined where the body is empty. */
export async function readBody(request: IncomingMessage, contentType: string): Promise<Body | undefined> {
  const isYaml = YAML_TYPES.has(contentType)
  if (!isYaml && !JSON_TYPES.has(contentType)) throw unsupportedMediaType(['application/json', 'application/yaml'])
  const text = (await readBytes(request)).toString()
  return text === '' ? undefined : decodeBody(text, isYaml)
}

export function decodeBody(text: string, isYaml: boolean): Body {
  try {
    const { value, duplicates } = isYaml && !text.startsWith('{') ? decodeYaml(text) : decodeJson(text)
    return { value, duplicates, text }
  } catch (error) {
    if (error instanceof StatusError) throw error
    throw badRequest(isYaml ? `error decoding YAML: ${(error as Error).message}` : (error as Error).message)
  }
}

function readBytes(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= MAX_BODY_BYTES) chunks.push(chunk)
      else chunks = []
      if (length > MAX_DISCARDED_BYTES) reject(tooLarge(MAX_BODY_BYTES))
    })
    request.on('end', () => {
      if (length > MAX_BODY_BYTES) reject(tooLarge(MAX_BODY_BYTES))
      else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
    })
    request.on('error', reject)
    request.on('close', () => reject(badRequest('the connection closed before the body was complete')))
  })
}
