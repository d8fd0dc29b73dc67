/** What a client asked to see instead of the objects themselves: a Table for a terminal, or metadata alone. */
import type { KubeObject, ListMeta } from '@caisson/api'
import type { Resource } from '../registry/resource.ts'
import { StatusError } from '../status-error.ts'
import { type IncludeObject, partialMetadata, tableRows, toTable } from '../table/to-table.ts'
import type { Answer, Query, WatchMessage } from '../verbs/call.ts'
import { badRequest, quoted } from '../verbs/errors.ts'
import type { Accepted } from './negotiate.ts'

export interface TransformContext {
  accepted: Accepted
  query: Query
  now: number
}

/** The answer in the form that was asked for. Answers that show no objects stay as they are. */
export function transformAnswer(answer: Answer, context: TransformContext): Answer {
  const { accepted, now } = context
  const { resource, body, status } = answer
  if (accepted.as === 'object' || !resource || typeof body === 'string') return answer
  const objects = answer.list ? (body as { items: KubeObject[] }).items : [body as KubeObject]
  const apiVersion = `meta.k8s.io/${accepted.metaVersion}`
  const metadata = listMetadata(body as KubeObject, answer.list === true)
  if (accepted.as === 'Table') {
    const options = { now, includeObject: includeObject(context.query), metadata }
    const isLong = objects.length > 1
    const { rows, ...table } = toTable(resource, isLong ? [] : objects, options)
    if (!isLong) return { status, body: { ...table, apiVersion, rows } }
    return {
      status,
      body: { ...table, apiVersion },
      elements: { field: 'rows', of: tableRows(resource, objects, options) },
    }
  }
  if (accepted.as.endsWith('List') !== (answer.list === true)) throw wrongForm(accepted, resource, answer.list === true)
  if (!answer.list) return { status, body: { ...partialMetadata(body as KubeObject), apiVersion } }
  const list = { kind: 'PartialObjectMetadataList', apiVersion, metadata }
  // An empty list has none in Go.
  if (objects.length === 0) return { status, body: { ...list, items: null } }
  return { status, body: list, elements: { field: 'items', of: metadataOf(objects, apiVersion) } }
}

function* metadataOf(objects: readonly KubeObject[], apiVersion: string): Generator<KubeObject> {
  for (const object of objects) yield { ...partialMetadata(object), apiVersion }
}

/** With the name of the type that Kubernetes holds the objects in. */
function wrongForm({ as }: Accepted, { custom, group, kind, listKind }: Resource, isList: boolean): StatusError {
  const unstructured = isList ? 'UnstructuredList' : 'Unstructured'
  const named = `${group === '' ? 'core' : group.split('.')[0]}.${isList ? listKind : kind}`
  const type = custom ? `unstructured.${unstructured}` : named
  const message = `you requested ${as}, but the requested object is ${isList ? 'a list' : 'not a list'} (*${type})`
  return new StatusError('NotAcceptable', message)
}

/** The same for the events of a watch; undefined where they go out as they are. */
export function transformMessages(
  resource: Resource,
  { accepted, query, now }: Omit<TransformContext, 'now'> & { now(): number },
): ((message: WatchMessage) => WatchMessage) | undefined {
  if (accepted.as === 'object') return undefined
  const include = accepted.as === 'Table' ? includeObject(query) : 'None'
  const apiVersion = `meta.k8s.io/${accepted.metaVersion}`
  // Only the first table names its columns: the client knows them from then on.
  let headers = true
  return (message) => {
    if (message.type === 'ERROR') return message
    const object = message.object as KubeObject
    const { type } = message
    if (accepted.as !== 'Table') return { type, object: { ...partialMetadata(object), apiVersion } }
    const isBookmark = type === 'BOOKMARK'
    const table = toTable(resource, isBookmark ? [] : [object], {
      now: now(),
      includeObject: include,
      metadata: listMetadata(object, false),
      headers,
    })
    headers = false
    const rows = isBookmark ? [{ cells: [], object: { ...partialMetadata(object), apiVersion } }] : table.rows
    return { type, object: { ...table, apiVersion, rows } }
  }
}

function includeObject(query: Query): IncludeObject {
  const asked = query.includeObject ?? ''
  if (asked === '') return 'Metadata'
  if (asked === 'None' || asked === 'Metadata' || asked === 'Object') return asked
  throw badRequest(
    `Unable to convert to Table as requested: includeObject: Invalid value: ${quoted(asked)}: must be 'Metadata', 'Object', 'None', or empty`,
  )
}

function listMetadata({ metadata }: KubeObject, isList: boolean): ListMeta {
  if (isList) {
    const { continue: next, ...rest } = metadata as ListMeta
    return next ? { ...rest, continue: next } : rest
  }
  return metadata.resourceVersion === undefined ? {} : { resourceVersion: metadata.resourceVersion }
}
