/** Those of Kubernetes' own conformance tests that are run each time, against an embedded cluster; and what is written of all. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { buildConformance, hasGo } from '../cluster/build-control-plane.ts'
import { findKubectl, startCluster } from '../e2e/fixture.ts'
import { buildImages } from './images.ts'
import type { Recorded } from './results.ts'
import { runInParallel } from './run.ts'
import { describeSpec, listSpecs, type SpecResult } from './specs.ts'
import { DOCUMENT, PASSING, renderReport, withPassed } from './write-report.ts'

/** What has once been in the lists stays: of `fixed.txt`, and of `passing.txt`. */
const LEAST = 93
const LEAST_PASSING = 399
/** From nothing, on two processors; they are found again afterwards. */
const BUILD_MS = 900_000
const RUN_MS = 600_000
const LIMIT_MS = 120_000

const lines = (path: string): string[] => readFileSync(path, 'utf8').split('\n').filter(Boolean)
const FIXED = lines(join(import.meta.dirname, 'fixed.txt'))

describe('what is written', () => {
  test('the specs that are run each time are among those that pass, and neither become fewer', () => {
    const passing = new Set(lines(PASSING))
    expect(FIXED.filter((name) => !passing.has(name))).toEqual([])
    expect(FIXED.length).toBeGreaterThanOrEqual(LEAST)
    expect(passing.size).toBeGreaterThanOrEqual(LEAST_PASSING)
  })

  test('the page has a place for each of 424 specs: it passes, or is listed below a reason', () => {
    const page = readFileSync(DOCUMENT, 'utf8')
    const passing = lines(PASSING).length
    expect(page).toContain(`**${passing} of 424 pass.**`)
    expect(passing + (page.match(/^- \\\[sig-/gm) ?? []).length).toBe(424)
  })

  test('passes are counted by SIG, and the others listed by reason', () => {
    const specs = ['[sig-node] a', '[sig-node] b [Serial]', '[sig-apps] c', '[sig-apps] d'].map(describeSpec)
    const result = (name: string, outcome: Recorded['outcome'], at: string): [string, Recorded] => [
      name,
      { name, outcome, seconds: 1, message: '', commit: 'abc', at: `2026-01-${at}T00:00:00Z` },
    ]
    const results = new Map([
      result('[sig-node] a', 'passed', '03'),
      result('[sig-node] b [Serial]', 'failed', '01'),
      result('[sig-apps] c', 'timed out', '02'),
    ])
    const reasons = [{ title: 'Two nodes', why: 'There is one.', specs: /\bb\b/ }]
    const [, , summary, , , , dates, , ...rest] = renderReport(specs, results, reasons).split('\n')
    expect(summary).toContain('**1 of 4 pass.**')
    expect(dates).toBe(
      'Each result is the newest of its test; the oldest of them is of 2026-01-01, the newest of 2026-01-03.',
    )
    expect(rest.join('\n')).toMatchInlineSnapshot(`
      "| SIG | tests | pass |
      |---|---|---|
      | apps | 2 | 0 |
      | node | 2 | 1 |
      | **all** | 4 | 1 |

      ## What does not pass, and why

      ### Two nodes (1)

      There is one.

      - \\[sig-node\\] b \\[Serial\\]

      ### Not understood yet (1)

      These were run and did not pass, and nobody has found out why.

      - \\[sig-apps\\] c

      ### Not run yet (1)

      Nothing is known of these.

      - \\[sig-apps\\] d
      "
    `)
  })

  test('what was known to pass stays known on a machine that has run little', () => {
    const specs = ['[sig-node] a', '[sig-node] b', '[sig-apps] c'].map(describeSpec)
    const results = new Map([['[sig-node] b', { outcome: 'failed' as const, at: '2026-01-03T00:00:00Z' }]])
    const page = renderReport(specs, withPassed(results, ['[sig-node] a', '[sig-node] b']), [
      { title: 'Two nodes', why: 'There is one.', specs: /\bc\b/ },
    ])
    expect(page).toContain('**1 of 3 pass.**')
    expect(page).toContain('Each result is the newest of its test; the newest of them is of 2026-01-03.')
    expect(page).toContain('### Two nodes (1)')
    expect(page).toContain('### Not understood yet (1)')
  })
})

const kubectl = findKubectl()
const isRun = hasGo() && kubectl !== undefined
if (!isRun) console.log("Go or kubectl is not installed: Kubernetes' conformance tests are not built, and not run")

describe.runIf(isRun)("Kubernetes' conformance tests", () => {
  const results = new Map<string, SpecResult>()
  let all: string[] = []
  beforeAll(async () => {
    const e2eTest = join(await buildConformance(), 'e2e.test')
    all = listSpecs(e2eTest).map(({ name }) => name)
    await using cluster = await startCluster({ archives: [await buildImages()] })
    await runInParallel(FIXED.map(describeSpec), {
      e2eTest,
      kubectl: kubectl ?? '',
      kubeconfig: join(cluster.dataDirectory, 'kubeconfig'),
      limitMs: LIMIT_MS,
      parallel: 2,
      signal: AbortSignal.timeout(RUN_MS),
      onResult: (result) => results.set(result.name, result),
    })
  }, BUILD_MS + RUN_MS)

  test('the lists name specs that there are', () => {
    const known = new Set(all)
    expect([...FIXED, ...lines(PASSING)].filter((name) => !known.has(name))).toEqual([])
  })

  test.each(FIXED)('%s', (name) => {
    const { outcome, message, output } = results.get(name) ?? { outcome: 'not run', message: '', output: '' }
    expect(outcome, `${message}\n${output}`).toBe('passed')
  })
})
