/** What `caisson doctor` finds, and how it says so. */
import { stringify } from 'yaml'
import type { OutputFormat } from './global-options.ts'
import { oneLine, shownDocument } from './terminal-text.ts'

export interface Finding {
  check: string
  /** `missing` is a failure only where `needed`. */
  state: 'ok' | 'missing' | 'note'
  needed: boolean
  /** What was found, or what to do. */
  message: string
}

const MARKS = { ok: 'ok     ', missing: 'missing', note: 'note   ' } as const

/** @returns whether nothing is missing that is needed; the exit code says the same */
export function printFindings(findings: readonly Finding[], output: OutputFormat | undefined): boolean {
  const healthy = findings.every(({ state, needed }) => state !== 'missing' || !needed)
  process.exitCode = healthy ? 0 : 1
  if (output === 'json') console.log(shownDocument(JSON.stringify({ healthy, findings })))
  else if (output === 'yaml') process.stdout.write(shownDocument(stringify({ healthy, findings })))
  else
    for (const { check, state, message } of findings)
      console.log(`${MARKS[state]}  ${check.padEnd(10)} ${oneLine(message)}`)
  return healthy
}
