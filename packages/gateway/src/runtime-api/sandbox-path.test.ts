import { posix } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sandboxPath } from './sandbox-path.ts'

test.each([
  ['a/b.txt', 'a/b.txt'],
  ['/a//./b/', 'a/b'],
  ['a/../b', 'b'],
  ['.', ''],
  ['', ''],
  ['..', undefined],
  ['a/../../b', undefined],
  ['/../etc/passwd', undefined],
  ['a\0b', undefined],
  ['a\nb', 'a\nb'],
])('%j', (path, expected) => {
  expect(sandboxPath(path)).toBe(expected)
})

test('is what the path means below any directory, or leads out of it', () => {
  const part = fc.constantFrom('a', 'b', '.', '..', '', '...')
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const path = parts.join('/')
      const meant = posix.join('/x/y', path).replace(/\/$/, '')
      const found = sandboxPath(path)
      if (found === undefined) expect(posix.normalize(`./${path}`)).toBeDefined()
      else expect(posix.join('/x/y', found)).toBe(meant)
      expect(found?.split('/').includes('..') ?? false).toBe(false)
    }),
  )
})
