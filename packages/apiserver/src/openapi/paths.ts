/** `/openapi/v2`, `/openapi/v3` and what the index of v3 points to. */

import { tagOf, unlessKnown } from '../http/known-document.ts'
import { acceptedTypes } from '../http/negotiate.ts'
import type { PathHandler } from '../pipeline.ts'
import { StatusError } from '../status-error.ts'
import type { Answer, Call } from '../verbs/call.ts'
import type { OpenApiDocuments, OpenApiText } from './documents.ts'

const V3 = '/openapi/v3/'

/** What is answered for a type that a client accepts. The name with `@` is no valid media type, but kubectl asks for it. */
const V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'
const V2_TYPES: ReadonlyMap<string, 'json' | 'protobuf'> = new Map([
  ['application/json', 'json'],
  ['application/*', 'json'],
  ['*/*', 'json'],
  [V2_PROTOBUF, 'protobuf'],
  ['application/com.github.proto-openapi.spec.v2@v1.0+protobuf', 'protobuf'],
])

/** For the server's `findPath`. */
export function openApiPaths(documents: OpenApiDocuments): (path: string) => PathHandler | undefined {
  return (path) => {
    if (path === '/openapi/v2') return (call) => v2(documents, call)
    if (path === '/openapi/v3') return (call) => v3Index(documents, call)
    if (!path.startsWith(V3)) return undefined
    const text = documents.v3(path.slice(V3.length))
    return text && ((call) => v3(call, path, text))
  }
}

function v3Index(documents: OpenApiDocuments, call: Call): Answer {
  const text = JSON.stringify(documents.v3Index())
  return unlessKnown(call, tagOf(text), json(text))
}

const YEAR_MS = 365 * 24 * 60 * 60 * 1000

/** By the address that the index gives it never changes; an address that it gave before leads to the new one. */
function v3(call: Call, path: string, { json: text, hash }: OpenApiText): Answer {
  const asked = call.query['hash'] ?? ''
  if (asked === '') return unlessKnown(call, hash, json(text))
  if (asked !== hash) return { status: 301, body: '', headers: ['Location', `${path}?hash=${hash}`] }
  const expires = new Date(Date.now() + YEAR_MS).toUTCString()
  return unlessKnown(call, hash, { ...json(text), cacheControl: 'public, immutable', headers: ['Expires', expires] })
}

function v2(documents: OpenApiDocuments, call: Call): Answer {
  const { accept } = call
  const encoding = acceptable(accept)
  if (encoding === 'json') {
    const { json: text, hash } = documents.v2()
    return unlessKnown(call, hash, json(text))
  }
  if (encoding === 'protobuf') {
    const body = documents.v2Protobuf()
    return unlessKnown(call, documents.v2().hash, { status: 200, body, contentType: V2_PROTOBUF })
  }
  throw new StatusError(
    'NotAcceptable',
    `expected the Accept header to allow application/json or ${V2_PROTOBUF}, found "${accept}"`,
  )
}

function acceptable(accept: string | undefined): 'json' | 'protobuf' | undefined {
  if (!accept) return 'json'
  return acceptedTypes(accept)
    .map((type) => V2_TYPES.get(type))
    .find((encoding) => encoding !== undefined)
}

/** Already encoded: these documents are hundreds of kilobytes. */
function json(body: string): Answer {
  return { status: 200, body, contentType: 'application/json' }
}
