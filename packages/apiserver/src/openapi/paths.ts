/** `/openapi/v2`, `/openapi/v3` and what the index of v3 points to. */
import type { PathHandler } from '../pipeline.ts'
import type { Answer } from '../verbs/call.ts'
import type { OpenApiDocuments } from './documents.ts'

const V3 = '/openapi/v3/'

/** For the server's `findPath`. */
export function openApiPaths(documents: OpenApiDocuments): (path: string) => PathHandler | undefined {
  return (path) => {
    if (path === '/openapi/v2') return () => json(documents.v2().json)
    if (path === '/openapi/v3') return () => ({ status: 200, body: documents.v3Index() })
    if (!path.startsWith(V3)) return undefined
    const text = documents.v3(path.slice(V3.length))
    return text && (() => json(text.json))
  }
}

/** Already encoded: these documents are hundreds of kilobytes. */
function json(body: string): Answer {
  return { status: 200, body, contentType: 'application/json' }
}
