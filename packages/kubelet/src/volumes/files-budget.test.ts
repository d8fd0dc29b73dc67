import { expect, test } from 'vitest'
import { createFilesBudget, type FilesBudget } from './files-budget.ts'

const MI = 1024 * 1024
const TOO_MANY =
  "the files of the Pod's configMap, secret, downwardAPI and projected volumes take more than 64Mi together: refer to fewer or smaller objects"

interface Asked {
  count: number
  bytes: number
  path?: (index: number) => string
}

function spend(budget: FilesBudget, { count, bytes, path = (index) => `f${index}` }: Asked): void {
  for (let index = 0; index < count; index++) budget.spend(path(index), bytes)
}

const nested = (index: number): string => `${'d/'.repeat(2_047)}${index}`

test.each<[what: string, each: Omit<Asked, 'count'>, fit: number]>([
  ['bytes', { bytes: MI }, 63],
  ['files, however small', { bytes: 0 }, 16_384],
  ['directories', { bytes: 0, path: nested }, 8],
])('so many %s, and no more', (_what, each, fit) => {
  spend(createFilesBudget(), { ...each, count: fit })
  expect(() => spend(createFilesBudget(), { ...each, count: fit + 1 })).toThrow(TOO_MANY)
})

test('counts all volumes of a Pod together', () => {
  const budget = createFilesBudget()
  spend(budget, { count: 40, bytes: MI })
  expect(() => spend(budget, { count: 30, bytes: MI })).toThrow(TOO_MANY)
})
