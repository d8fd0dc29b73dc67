import { appendFileSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

/**
 * Ends a run with one plain line, `N passed, N failed`, that scripts can read, after another that says how many were
 * skipped, where any were. With CAISSON_TEST_COUNTS naming a file,
 * the two numbers are appended there too, so that a run of several suites can print their sum.
 */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, errors: ReadonlyArray<unknown>): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 }
    for (const module of modules) {
      if (module.errors().length > 0) counts.failed++
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed' || state === 'failed' || state === 'skipped') counts[state]++
      }
    }
    if (counts.skipped > 0) console.log(`${counts.skipped} skipped`)
    console.log(`${counts.passed} passed, ${counts.failed} failed`)
    const file = process.env['CAISSON_TEST_COUNTS']
    if (file) appendFileSync(file, `${counts.passed} ${counts.failed} ${counts.skipped}\n`)
  }
}
