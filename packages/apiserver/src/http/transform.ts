/** What a client asked to see instead of the objects themselves: a Table for a terminal, or metadata alone. */
import type { KubeObject } from '@caisson/api'
import type { Resource } from '../registry/resource.ts'
import type { Answer, Query, WatchMessage } from '../verbs/call.ts'
import { badRequest, quoted } from '../verbs/errors.ts'
import type { Accepted } from './negotiate.ts'

export type IncludeObject = 'None' | 'Metadata' | 'Object'

/** `toTable` of table/. */
export type TableOf = (
  resource: Resource,
  objects: readonly KubeObject[],
  now: number,
  includeObject: IncludeObject,
) => { [field: string]: unknown }

export interface TransformContext {
  accepted: Accepted
  query: Query
  now: number
  toTable: TableOf | undefined
}

/** The answer in the form that was asked for. Answers that show no objects stay as they are. */
export function transformAnswer(answer: Answer, context: TransformContext): Answer {
  const { accepted, toTable, now } = context
  const { resource, body } = answer
  if (accepted.as === 'object' || !resource || typeof body === 'string') return answer
  const objects = answer.list ? (body as { items: KubeObject[] }).items : [body as KubeObject]
  if (accepted.as === 'Table') {
    if (!toTable) return answer
    const table = toTable(resource, objects, now, includeObject(context))
    const metadata = listMetadata(answer)
    return { status: answer.status, body: { ...table, apiVersion: `meta.k8s.io/${accepted.metaVersion}`, metadata } }
  }
  const apiVersion = `meta.k8s.io/${accepted.metaVersion}`
  if (!answer.list) return { status: answer.status, body: partialMetadata(body as KubeObject, apiVersion) }
  return {
    status: answer.status,
    body: {
      kind: 'PartialObjectMetadataList',
      apiVersion,
      metadata: listMetadata(answer),
      items: objects.map((object) => partialMetadata(object, apiVersion)),
    },
  }
}

/** The same for the events of a watch; undefined where they go out as they are. */
export function transformMessages(
  resource: Resource,
  context: Omit<TransformContext, 'now'> & { now(): number },
): ((message: WatchMessage) => WatchMessage) | undefined {
  const { accepted, toTable } = context
  if (accepted.as === 'object' || (accepted.as === 'Table' && !toTable)) return undefined
  const include = accepted.as === 'Table' ? includeObject(context) : 'None'
  let first = true
  return (message) => {
    if (message.type === 'ERROR') return message
    const object = message.object as KubeObject
    const apiVersion = `meta.k8s.io/${accepted.metaVersion}`
    if (accepted.as !== 'Table') return { type: message.type, object: partialMetadata(object, apiVersion) }
    const table = (toTable as TableOf)(resource, message.type === 'BOOKMARK' ? [] : [object], context.now(), include)
    // Only the first table names its columns: the rest of the stream repeats none of them.
    const columnDefinitions = first ? table.columnDefinitions : null
    first = false
    return {
      type: message.type,
      object: {
        ...table,
        apiVersion,
        metadata: { resourceVersion: object.metadata.resourceVersion },
        columnDefinitions,
        ...(message.type === 'BOOKMARK' && { rows: [bookmarkRow(object)] }),
      },
    }
  }
}

function includeObject({ query }: Pick<TransformContext, 'query'>): IncludeObject {
  const asked = query.includeObject ?? ''
  if (asked === '') return 'Metadata'
  if (asked === 'None' || asked === 'Metadata' || asked === 'Object') return asked
  throw badRequest(`includeObject: Invalid value: ${quoted(asked)}: must be 'Metadata', 'Object', 'None', or empty`)
}

function listMetadata({ list, body }: Answer): object {
  const { metadata } = body as KubeObject
  if (list) return metadata
  return { ...(metadata.resourceVersion && { resourceVersion: metadata.resourceVersion }) }
}

function partialMetadata({ metadata }: KubeObject, apiVersion: string): object {
  return { kind: 'PartialObjectMetadata', apiVersion, metadata }
}

function bookmarkRow(object: KubeObject): object {
  return { cells: null, object: partialMetadata(object, 'meta.k8s.io/v1') }
}
