/** `/openapi/v2`, `/openapi/v3` and what the index of v3 points to. */

import { acceptedTypes } from '../http/negotiate.ts'
import type { PathHandler } from '../pipeline.ts'
import { StatusError } from '../status-error.ts'
import type { Answer } from '../verbs/call.ts'
import type { OpenApiDocuments } from './documents.ts'

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
    if (path === '/openapi/v2') return ({ accept }) => v2(documents, accept)
    if (path === '/openapi/v3') return () => ({ status: 200, body: documents.v3Index() })
    if (!path.startsWith(V3)) return undefined
    const text = documents.v3(path.slice(V3.length))
    return text && (() => json(text.json))
  }
}

function v2(documents: OpenApiDocuments, accept: string | undefined): Answer {
  const encoding = acceptable(accept)
  if (encoding === 'json') return json(documents.v2().json)
  if (encoding === 'protobuf') return { status: 200, body: documents.v2Protobuf(), contentType: V2_PROTOBUF }
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
