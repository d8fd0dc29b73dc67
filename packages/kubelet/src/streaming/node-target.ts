/** What a request to the node's API asks for, by its URL. */
import { flag } from './log-query.ts'
import type { StreamSelection } from './remote-command.ts'

export interface Target {
  action: string
  namespace: string
  pod: string
  uid: string | undefined
  container: string | undefined
  query: URLSearchParams
}

/** `/exec/{ns}/{pod}[/{uid}]/{container}`, `/attach/…`, `/containerLogs/{ns}/{pod}/{container}`, `/portForward/{ns}/{pod}[/{uid}]`. */
export function parseTarget(url: string | undefined): Target | undefined {
  const parsed = URL.parse(url ?? '', 'http://node')
  if (!parsed) return undefined
  const segments = parsed.pathname.split('/').slice(1).map(decodeSegment)
  if (segments.some((segment) => segment === undefined || segment === '')) return undefined
  const [action = '', namespace = '', pod = '', ...rest] = segments as string[]
  const forward = action === 'portForward'
  if (segments.length < (forward ? 3 : 4) || segments.length > (forward ? 4 : 5)) return undefined
  return {
    action,
    namespace,
    pod,
    uid: forward ? rest[0] : rest.length === 2 ? rest[0] : undefined,
    container: forward ? undefined : rest.at(-1),
    query: parsed.searchParams,
  }
}

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

/** Named as a kubelet names them (`input=1`) or as the Pod's subresource does (`stdin=true`). Undefined where none is asked for. */
export function parseSelection(query: URLSearchParams): StreamSelection | undefined {
  const tty = flag(query.get('tty'))
  const stdin = flag(query.get('input')) || flag(query.get('stdin'))
  const stdout = flag(query.get('output')) || flag(query.get('stdout'))
  const stderr = flag(query.get('error')) || flag(query.get('stderr'))
  return stdin || stdout || stderr ? { stdin, stdout, stderr, tty } : undefined
}
