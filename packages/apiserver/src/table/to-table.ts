/** The answer to `Accept: application/json;as=Table`: what `kubectl get` prints. */
import type { KubeObject, ListMeta } from '@caisson/api'
import type { Column, Resource } from '../registry/resource.ts'
import { parseTimestamp } from '../schema/cel/time.ts'
import { createdAtColumns } from './builtin-columns.ts'
import { age, humanDuration } from './duration.ts'
import { podRowConditions } from './pod-status.ts'

export type IncludeObject = 'None' | 'Metadata' | 'Object'

export interface ToTableOptions {
  /** ms since the epoch. */
  now: number
  /** What of each object stands beside its cells. Default `Metadata`. */
  includeObject?: IncludeObject
  /** Of the list, or of the one object. */
  metadata?: ListMeta
  /** False from the second event of a watch on: the client knows the columns then. */
  headers?: boolean
}

export interface TableColumnDefinition {
  name: string
  type: string
  format: string
  description: string
  priority: number
}

export interface TableRow {
  cells: unknown[]
  conditions?: ReadonlyArray<{ type: string; status: string; reason?: string; message?: string }>
  object: object | null
}

export interface Table {
  kind: 'Table'
  apiVersion: 'meta.k8s.io/v1'
  metadata: ListMeta
  columnDefinitions: TableColumnDefinition[] | null
  /** Null where kube-apiserver has no rows and no printer of its own for the kind. */
  rows: TableRow[] | null
}

/** The objects of one kind as rows. All columns are sent, those of `-o wide` too: the client chooses. */
export function toTable(resource: Resource, objects: Iterable<KubeObject>, options: ToTableOptions): Table {
  const rows = [...tableRows(resource, objects, options)]
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: options.metadata ?? {},
    columnDefinitions: options.headers === false ? null : columnsOf(resource).map(definitionOf),
    rows: rows.length === 0 && resource.columns === createdAtColumns ? null : rows,
  }
}

/** Each made when it is asked for. */
export function* tableRows(
  resource: Resource,
  objects: Iterable<KubeObject>,
  { now, includeObject: include = 'Metadata' }: Pick<ToTableOptions, 'now' | 'includeObject'>,
): Generator<TableRow> {
  const columns = columnsOf(resource)
  const isPod = resource.group === '' && resource.plural === 'pods'
  for (const object of objects) {
    const conditions = isPod ? podRowConditions(object) : undefined
    yield {
      cells: columns.map((column) => cellOf(resource, column, object, now)),
      ...(conditions && { conditions }),
      object: include === 'Object' ? object : include === 'Metadata' ? partialMetadata(object) : null,
    }
  }
}

function columnsOf({ columns }: Resource): readonly Column[] {
  return columns.length ? columns : DEFAULT_COLUMNS
}

/** An object as a client sees it that asked for `as=PartialObjectMetadata`. */
export function partialMetadata(object: KubeObject): KubeObject {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata }
}

const DEFAULT_COLUMNS: readonly Column[] = [
  { name: 'Name', type: 'string', format: 'name', cell: ({ metadata }) => metadata.name ?? '' },
  { name: 'Age', type: 'date', cell: ({ metadata }) => metadata.creationTimestamp ?? null },
]

function cellOf(resource: Resource, column: Column, object: KubeObject, now: number): unknown {
  const cell = column.cell(object, now)
  // Built-in kinds print their ages themselves, but for the few that show a date as a date.
  if (column.type === 'date' && resource.custom && typeof cell === 'string') return ageOf(cell, now)
  return cell
}

/** Of a text that is in a column of dates; as kube-apiserver prints one that is none. */
function ageOf(text: string, now: number): string {
  if (text === '') return age(text, now)
  const made = parseTimestamp(text)
  return made ? humanDuration(now - Number(made.nanos / 1_000_000n)) : '<invalid>'
}

function definitionOf({ name, type, format = '', description = '', priority = 0 }: Column): TableColumnDefinition {
  return { name, type, format, description, priority }
}
