import type { OutputFormat } from './global-options.ts'

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

/** Prints a list in the format that was asked for; a table without one. */
export async function printList(
  rows: readonly Printed[],
  columns: Columns,
  output: OutputFormat | undefined,
): Promise<void> {
  if (output === 'json')
    return console.log(
      JSON.stringify(
        rows.map((row) => row.object),
        null,
        2,
      ),
    )
  if (output === 'yaml') {
    const { stringify } = await import('yaml')
    return void process.stdout.write(stringify(rows.map((row) => row.object)))
  }
  if (output === 'name') {
    for (const row of rows) console.log(`${row.kind}/${row.name}`)
    return
  }
  const wide = output === 'wide'
  const lines = [
    [...columns.always, ...(wide ? (columns.wide ?? []) : [])],
    ...rows.map((row) => [...row.cells, ...(wide ? (row.wide ?? []) : [])]),
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
