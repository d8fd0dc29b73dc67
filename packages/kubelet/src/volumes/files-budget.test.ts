import { expect, test } from 'vitest'
import { createFilesBudget } from './files-budget.ts'

const MI = 1024 * 1024
const TOO_MANY =
  "the files of the Pod's configMap, secret, downwardAPI and projected volumes take more than 64Mi together: refer to fewer or smaller objects"

const files = (count: number, bytes: number, path = (index: number) => `f${index}`): Map<string, { data: Buffer }> => {
  const data = Buffer.alloc(bytes)
  return new Map(Array.from({ length: count }, (_, index) => [path(index), { data }]))
}

test.each<[what: string, fits: Map<string, { data: Buffer }>, not: Map<string, { data: Buffer }>]>([
  ['bytes', files(63, MI), files(64, MI)],
  ['files, however small', files(16_384, 0), files(16_385, 0)],
  [
    'directories',
    files(8, 0, (index) => `${'d/'.repeat(2_047)}${index}`),
    files(9, 0, (index) => `${'d/'.repeat(2_047)}${index}`),
  ],
])('so many %s, and no more', (_what, fits, not) => {
  createFilesBudget().spend(fits)
  expect(() => createFilesBudget().spend(not)).toThrow(TOO_MANY)
})

test('counts all volumes of a Pod together', () => {
  const budget = createFilesBudget()
  budget.spend(files(40, MI))
  expect(() => budget.spend(files(30, MI))).toThrow(TOO_MANY)
})
