import { KUBERNETES_YAML, type ObjectMeta } from '@caisson/api'
import type { OutputFormat } from './global-options.ts'
import { oneLine, shownDocument } from './terminal-text.ts'

export interface Printed {
  /** `sandbox/NAME` with `-o name`. */
  kind: string
  name: string
  /** With `-o json` and `-o yaml`. */
  object: unknown
  cells: readonly string[]
  /** Further cells with `-o wide`. */
  wide?: readonly string[]
}

export interface Columns {
  always: readonly string[]
  wide?: readonly string[]
}

/** As kubectl prints them: Kubernetes' objects in a List, and without what only servers read. */
function listed(objects: readonly unknown[]): unknown {
  if (!objects.every(isKubeObject)) return objects
  return { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items: objects.map(shown) }
}

function shown(object: { metadata: ObjectMeta }): object {
  const { managedFields: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

function isKubeObject(object: unknown): object is { metadata: ObjectMeta } {
  return typeof object === 'object' && object !== null && 'apiVersion' in object && 'metadata' in object
}

async function printDocument(document: unknown, output: 'json' | 'yaml'): Promise<void> {
  if (output === 'json') return console.log(shownDocument(JSON.stringify(document, null, 2)))
  const { stringify } = await import('yaml')
  process.stdout.write(shownDocument(stringify(document, KUBERNETES_YAML)))
}

/** Prints one Kubernetes object that a command has made, in a form that asks for all of it. */
export function printObject(object: { metadata: ObjectMeta }, output: 'json' | 'yaml'): Promise<void> {
  return printDocument(shown(object), output)
}

/** Prints a list in the format that was asked for; a table without one. */
export async function printList(
  rows: readonly Printed[],
  columns: Columns,
  output: OutputFormat | undefined,
): Promise<void> {
  if (output === 'json' || output === 'yaml') return printDocument(listed(rows.map(({ object }) => object)), output)
  if (output === 'name') {
    for (const row of rows) console.log(oneLine(`${row.kind}/${row.name}`))
    return
  }
  const wide = output === 'wide'
  const lines = [
    [...columns.always, ...(wide ? (columns.wide ?? []) : [])],
    ...rows.map((row) => [...row.cells, ...(wide ? (row.wide ?? []) : [])].map(oneLine)),
  ]
  const widths = lines[0]?.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0))) ?? []
  for (const line of lines)
    console.log(
      line
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('   ')
        .trimEnd(),
    )
}

/** `5s`, `3m`, `2h`, `4d`: how long ago, roughly. */
export function age(timestamp: string | undefined, now: number): string {
  if (!timestamp) return '<unknown>'
  const seconds = Math.max(0, Math.round((now - Date.parse(timestamp)) / 1000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}
