/** Writes docs/conformance.md and passing.txt from the newest result of each spec. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KUBERNETES } from '../cluster/build-control-plane.ts'
import { REASONS, type Reason } from './reasons.ts'
import { latestResults, type Recorded } from './results.ts'
import type { Spec } from './specs.ts'

export const DOCUMENT = join(import.meta.dirname, '../../docs/conformance.md')
/** The specs that pass, one a line. */
export const PASSING = join(import.meta.dirname, 'passing.txt')

export type SpecOutcome = Pick<Recorded, 'outcome'> & Partial<Pick<Recorded, 'at'>>

const NOT_RUN: Reason = { title: 'Not run yet', why: 'Nothing is known of these.', specs: /$^/ }
const UNKNOWN: Reason = {
  title: 'Not understood yet',
  why: 'These were run and did not pass, and nobody has found out why.',
  specs: /$^/,
}

/** Where this machine has no result of a spec, what the list that is there says of it stays. */
export function writeReport(specs: readonly Spec[]): void {
  const results = withPassed(latestResults(), readFileSync(PASSING, 'utf8').split('\n').filter(Boolean))
  writeFileSync(DOCUMENT, renderReport(specs, results, REASONS))
  writeFileSync(
    PASSING,
    specs
      .filter((spec) => passed(spec, results))
      .map((spec) => `${spec.name}\n`)
      .join(''),
  )
}

/** The results, and of the names without one that they pass: when is not known. */
export function withPassed(
  results: ReadonlyMap<string, SpecOutcome>,
  names: readonly string[],
): ReadonlyMap<string, SpecOutcome> {
  return new Map([...names.map((name): [string, SpecOutcome] => [name, { outcome: 'passed' }]), ...results])
}

function passed(spec: Spec, results: ReadonlyMap<string, SpecOutcome>): boolean {
  return results.get(spec.name)?.outcome === 'passed'
}

/** The page: passes by SIG, and every other spec below its reason. */
export function renderReport(
  specs: readonly Spec[],
  results: ReadonlyMap<string, SpecOutcome>,
  reasons: readonly Reason[],
): string {
  const sigs = [...new Set(specs.map((spec) => spec.sig))].map((sig) => {
    const own = specs.filter((spec) => spec.sig === sig)
    return { sig, all: own.length, passing: own.filter((spec) => passed(spec, results)).length }
  })
  sigs.sort((one, other) => other.all - one.all || (one.sig < other.sig ? -1 : 1))
  const passing = sigs.reduce((sum, each) => sum + each.passing, 0)
  const others = Map.groupBy(
    specs.filter((spec) => !passed(spec, results)),
    ({ name }) => reasons.find((reason) => reason.specs.test(name)) ?? (results.has(name) ? UNKNOWN : NOT_RUN),
  )
  const days = [...results.values()].flatMap(({ at }) => at?.slice(0, 10) ?? []).sort()
  const oldest = days.length < results.size ? '' : ` the oldest of them is of ${days[0]},`
  return [
    '# Conformance',
    '',
    `Kubernetes' own conformance tests, \`e2e.test\` of ${KUBERNETES}, against the embedded cluster with its Pods under gVisor. **${passing} of ${specs.length} pass.**`,
    '',
    '`make conformance` builds the tests and the images that they use from their sources (it needs Go), runs them on a cluster of its own, four at a time and with five minutes for each, and writes this page; `FOCUS=REGEX` and `SIG=NAME` run a part, and what is known of the rest stays. The names of those that pass are in `test/conformance/passing.txt`; `make test` runs some of them (`test/conformance/fixed.txt`).',
    '',
    ...(days.length > 0
      ? [
          `Each result is the newest of its test;${oldest} the newest ${oldest ? 'of' : 'of them is of'} ${days.at(-1)}.`,
          '',
        ]
      : []),
    '| SIG | tests | pass |',
    '|---|---|---|',
    ...sigs.map(({ sig, all, passing: some }) => `| ${sig} | ${all} | ${some} |`),
    `| **all** | ${specs.length} | ${passing} |`,
    '',
    ...(others.size > 0 ? ['## What does not pass, and why', ''] : []),
    ...[...reasons, UNKNOWN, NOT_RUN].flatMap((reason) => {
      const own = others.get(reason) ?? []
      if (own.length === 0) return []
      return [
        `### ${reason.title} (${own.length})`,
        '',
        reason.why,
        '',
        ...own.map(({ name }) => `- ${escapeMarkdown(name)}`),
        '',
      ]
    }),
  ]
    .join('\n')
    .replace(/\n+$/, '\n')
}

function escapeMarkdown(text: string): string {
  return text.replace(/ \[Conformance\]/g, '').replace(/[[\]<>*_`|\\]/g, '\\$&')
}
