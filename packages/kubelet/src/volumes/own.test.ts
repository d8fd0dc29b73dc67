import { expect, test } from 'vitest'
import { ownersProblem } from './own.ts'

test.each([
  ['the machine itself', '         0          0 4294967295\n', undefined],
  ['a user with subordinate ids', '         0       1000          1\n         1     100000      65536\n', undefined],
  [
    'a user without',
    '         0       1000          1\n',
    expect.stringMatching(/^files of volumes belong to root .* newuidmap/),
  ],
])('%s has owners for files, or says why not', (_name, map, expected) => {
  expect(ownersProblem(map)).toEqual(expected)
})
