import fc from 'fast-check'
import { expect, test } from 'vitest'
import { goJson, goQuote, invalidValue, LONGEST_SHOWN, renamed } from './field-error.ts'

const shown = (value: unknown): string => invalidValue('spec', value, 'wrong').message

test('a value is shown as JSON, and text as Go quotes it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(shown(value)).toBe(`Invalid value: ${typeof value === 'string' ? goQuote(value) : goJson(value)}: wrong`)
    }),
  )
})

test.each([
  ['text', 'a'.repeat(LONGEST_SHOWN + 1), '"aaa'],
  ['a list', Array.from({ length: LONGEST_SHOWN }, () => 1), '[1,1,'],
  ['an object', { a: { b: 'c'.repeat(LONGEST_SHOWN) }, d: 1 }, '{"a":{"b":"ccc'],
])('of %s that is longer than anybody reads the beginning is shown', (_name, value, start) => {
  const message = shown(value)
  expect(message.startsWith(`Invalid value: ${start}`)).toBe(true)
  expect(message.endsWith('…: wrong')).toBe(true)
  expect(message.length).toBe('Invalid value: …: wrong'.length + LONGEST_SHOWN)
})

test('a list that many errors show is looked at by none of them before it is told, and by no more than is shown then', () => {
  let reads = 0
  const count = 2 * LONGEST_SHOWN
  const list = Array.from({ length: count }, () => ({
    get name() {
      reads++
      return 'x'
    },
  }))
  const errors = list.map((_, index) => renamed(invalidValue('spec', list, 'wrong'), `spec.list[${index}]`))
  expect(reads).toBe(0)
  expect(errors.at(-1)?.message).toContain('[{"name":"x"},')
  expect(reads).toBeLessThan(LONGEST_SHOWN)
})
