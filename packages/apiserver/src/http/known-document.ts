/** Documents that clients keep and ask for again: they are sent anew only where they have changed. */
import { createHash } from 'node:crypto'
import type { Answer, Call } from '../verbs/call.ts'

/** What tells one state of a document from all others: SHA-512 in capitals, as Kubernetes has it. */
export function tagOf(json: string): string {
  return createHash('sha512').update(json).digest('hex').toUpperCase()
}

/** The answer, or 304 where the client says that it has this state of it. What it is depends on the Accept header. */
export function unlessKnown({ ifNoneMatch }: Pick<Call, 'ifNoneMatch'>, tag: string, answer: Answer): Answer {
  const quoted = `"${tag}"`
  const tagged = { ...answer, headers: ['Etag', quoted, 'Vary', 'Accept', ...(answer.headers ?? [])] }
  return knows(ifNoneMatch, quoted) ? { ...tagged, status: 304, body: '' } : tagged
}

/** As RFC 9110, 13.1.2, compares them. */
function knows(header: string | undefined, quoted: string): boolean {
  const tags = header?.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags?.some((tag) => tag === quoted || tag === '*') ?? false
}
