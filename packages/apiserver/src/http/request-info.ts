/** What a method and a path ask for, by the rules of apiserver's RequestInfoFactory. */
import type { Query, RequestInfo } from '../verbs/call.ts'
import { exactField, parseFieldTerms } from '../verbs/field-selector.ts'

const NO_SUBRESOURCE_NAMES: ReadonlySet<string> = new Set(['status', 'finalize'])

const METHOD_VERBS: Readonly<Record<string, string>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
}

export const EMPTY_QUERY: Query = Object.freeze(Object.create(null) as Query)

/** Of a path of which nothing is known, or that is no resource's. */
export function unknownInfo(path: string, method: string): RequestInfo {
  return {
    isResource: false,
    path,
    verb: method.toLowerCase(),
    group: '',
    version: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
    rest: '',
  }
}

/** The path as it was sent, without its query. Throws a URIError where a segment is not valid percent-encoding. */
export function parseRequestInfo(method: string, path: string, query: Query): RequestInfo {
  const info = unknownInfo(path, method)
  const parts = splitPath(path)
  const prefix = parts[0]
  if (prefix !== 'api' && prefix !== 'apis') return info
  let at = 1
  if (prefix === 'apis') {
    // /apis and /apis/GROUP are discovery.
    if (parts.length < 4) return info
    info.group = parts[at++] as string
  } else if (parts.length < 3) return info
  info.version = parts[at++] as string
  info.isResource = true
  info.verb = METHOD_VERBS[method] ?? ''
  // The old way to ask for a watch: /api/v1/watch/namespaces/NAMESPACE/pods.
  const isWatchPath = parts[at] === 'watch' && parts.length > at + 1
  if (isWatchPath) at++
  if (parts[at] === 'namespaces') {
    if (parts.length > at + 1) {
      info.namespace = parts[at + 1] as string
      // /namespaces/NAME/status is a subresource of the namespace, /namespaces/NAME/pods a collection in it.
      if (parts.length > at + 2 && !NO_SUBRESOURCE_NAMES.has(parts[at + 2] as string)) at += 2
    }
  }
  info.resource = parts[at] ?? ''
  info.name = parts[at + 1] ?? ''
  info.subresource = parts[at + 2] ?? ''
  if (parts.length > at + 3) info.rest = restOf(path, at + 3)
  if (isWatchPath) info.verb = info.verb === 'get' ? 'watch' : ''
  else if (info.name === '') collectionVerb(info, query)
  return info
}

function collectionVerb(info: RequestInfo, query: Query): void {
  if (query.fieldSelector) info.fieldSelector = query.fieldSelector
  if (info.verb === 'get') {
    info.verb = isTrue(query.watch) ? 'watch' : 'list'
    const selectedName = pinnedName(query.fieldSelector)
    if (selectedName !== undefined) info.selectedName = selectedName
  } else if (info.verb === 'delete') info.verb = 'deletecollection'
}

/** The name that a field selector leaves as the only possible one. */
function pinnedName(fieldSelector: string | undefined): string | undefined {
  if (!fieldSelector) return undefined
  try {
    const name = exactField(parseFieldTerms(fieldSelector), 'metadata.name')
    return name && name !== '.' && name !== '..' && !/[/%]/.test(name) ? name : undefined
  } catch {
    // The list itself will say what is wrong with it.
    return undefined
  }
}

/** As Go's query conversion reads a boolean: anything but `false` and `0` counts. */
function isTrue(value: string | undefined): boolean {
  return value !== undefined && value !== 'false' && value !== '0'
}

function splitPath(path: string): string[] {
  const parts = path.split('/')
  parts.shift()
  if (parts.at(-1) === '') parts.pop()
  return path.includes('%') ? parts.map(decodeURIComponent) : parts
}

/** Everything from the given segment on, still encoded, with a slash before it. */
function restOf(path: string, segment: number): string {
  let at = 0
  for (let count = 0; count <= segment; count++) at = path.indexOf('/', at) + 1
  return path.slice(at - 1)
}

/** `a=1&b=2` as an object without a prototype; of repeated parameters the first one counts, as in Go. */
export function parseQuery(text: string): Query {
  if (text === '') return EMPTY_QUERY
  const query = Object.create(null) as Record<string, string>
  for (const [key, value] of new URLSearchParams(text)) if (!(key in query)) query[key] = value
  return query
}
