import { expect, test } from 'vitest'
import { specificationFaults } from './specification.ts'

const files: Record<string, string> = { 'a.test.ts': "test('holds', () => {})\n])('%s holds', () => {})" }
const faults = (text: string): string[] => specificationFaults(text, (file) => files[file])

test('promises whose tests are there have no fault', () => {
  expect(
    faults('# T\n\n| P | held by |\n|---|---|\n| one | `a.test.ts`: “holds” and `a.test.ts`: “%s holds” |\n'),
  ).toEqual([])
})

test('what is missing is told', () => {
  expect(
    faults('| P | held by |\n|---|---|\n| one | – |\n| two | `a.test.ts`: “hold” |\n\nAnd `b.test.ts`: “x”.'),
  ).toEqual(['no test is named for | one | – |', 'a.test.ts has no test “hold”', 'b.test.ts is not there'])
})
