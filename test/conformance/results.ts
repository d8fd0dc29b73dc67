/** What the conformance specs did, one line of JSON for each run of each, outside of the repository. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { conformanceDirectory } from '../cluster/build-control-plane.ts'
import type { Outcome, SpecResult } from './specs.ts'

export interface Recorded {
  name: string
  outcome: Outcome
  seconds: number
  message: string
  /** That was checked out; with a `+` behind where something else was there too. */
  commit: string
  /** RFC 3339. */
  at: string
}

function resultsFile(): string {
  return join(conformanceDirectory(), 'results.jsonl')
}

/** Adds a result, and keeps what a spec that did not pass wrote. */
export function record(result: SpecResult, commit: string): void {
  const { output, ...rest } = result
  const outputs = join(conformanceDirectory(), 'outputs')
  mkdirSync(outputs, { recursive: true })
  if (result.outcome !== 'passed') writeFileSync(outputFile(outputs, result.name), `${result.message}\n\n${output}`)
  const line: Recorded = { ...rest, message: rest.message.slice(0, 4000), commit, at: new Date().toISOString() }
  appendFileSync(resultsFile(), `${JSON.stringify(line)}\n`)
}

function outputFile(directory: string, name: string): string {
  return join(directory, `${name.replace(/[^\w-]+/g, '-').slice(0, 200)}.txt`)
}

/** The newest result of each spec. */
export function latestResults(): Map<string, Recorded> {
  if (!existsSync(resultsFile())) return new Map()
  const lines = readFileSync(resultsFile(), 'utf8').split('\n').filter(Boolean)
  return new Map(lines.map((line) => JSON.parse(line) as Recorded).map((each) => [each.name, each]))
}
