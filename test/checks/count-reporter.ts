import { appendFileSync } from 'node:fs'
import type { Reporter, TestCase, TestModule } from 'vitest/node'

/**
 * Ends a run with one plain line, `N passed, N failed`, that scripts can read, after another that says how many were
 * skipped, where any were. With CAISSON_TEST_COUNTS naming a file,
 * the numbers are appended there too, and a line for each test that failed, so that a run of several suites can print their
 * sum, and last of all what failed: the end of a long log may be all that is kept of it.
 */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, errors: ReadonlyArray<unknown>): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 }
    const failures = errors.map((error) => `outside of every test: ${firstLine(error)}`)
    for (const module of modules) {
      const [error] = module.errors()
      if (error) {
        counts.failed++
        failures.push(`${module.relativeModuleId}: ${firstLine(error)}`)
      }
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed' || state === 'failed' || state === 'skipped') counts[state]++
        if (state === 'failed') failures.push(failureOf(test))
      }
    }
    if (counts.skipped > 0) console.log(`${counts.skipped} skipped`)
    console.log(`${counts.passed} passed, ${counts.failed} failed`)
    const file = process.env['CAISSON_TEST_COUNTS']
    if (!file) return
    appendFileSync(file, `${counts.passed} ${counts.failed} ${counts.skipped}\n`)
    for (const failure of failures) appendFileSync(file, `FAILED ${failure}\n`)
  }
}

function failureOf(test: TestCase): string {
  const [error] = test.result().errors ?? []
  return `${test.module.relativeModuleId} > ${test.fullName}: ${firstLine(error)}`
}

/** What an error says, as far as it fits into a line of 300 characters. */
function firstLine(error: unknown): string {
  const message = error instanceof Object && 'message' in error ? String(error.message) : String(error)
  return message.split('\n', 1)[0]!.slice(0, 300)
}
