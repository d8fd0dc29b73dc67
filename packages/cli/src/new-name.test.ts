import { expect, test } from 'vitest'
import { newName } from './new-name.ts'

test('takes the name that was given', () => {
  expect(newName('my-box.v2', 'run')).toBe('my-box.v2')
})

test('makes one up, another each time', () => {
  const names = [newName(undefined, 'run'), newName(undefined, 'run')]
  expect(names).toEqual([expect.stringMatching(/^run-[0-9a-f]{8}$/), expect.stringMatching(/^run-[0-9a-f]{8}$/)])
  expect(names[0]).not.toBe(names[1])
})

test.each([
  ['Foo_Bar', 'Foo_Bar'],
  ['', ''],
  ['-a', '-a'],
  ['a'.repeat(254), `${'a'.repeat(40)}… (254 characters)`],
])('refuses %j, which Kubernetes would, in words of its own', (name, shown) => {
  expect(() => newName(name, 'run')).toThrow(
    `--name ${JSON.stringify(shown)} is no name: use lower-case letters, digits, '-' and '.', a letter or digit first and last, at most 253 of them`,
  )
})
