import { describe, expect, test } from 'vitest'
import { decodeJson, MOST_PROBLEMS, MOST_VALUES } from './decode.ts'

const twice = (count: number): string => `{${Array.from({ length: count }, () => '"a":1').join(',')}}`

describe('keys that occur twice', () => {
  test('are named by their path', () => {
    expect(decodeJson(`{"spec":${twice(2)}}`).duplicates).toEqual(['duplicate field "spec.a"'])
  })

  test('are not all told of: a body of 3 MiB would become gigabytes', () => {
    expect(decodeJson(twice(MOST_VALUES)).duplicates).toHaveLength(MOST_PROBLEMS)
  })

  test('are named by the beginning of a path that is too long', () => {
    const nested = `${'{"k":'.repeat(400).replaceAll('k', 'k'.repeat(1000))}${twice(3)}${'}'.repeat(400)}`
    const { duplicates } = decodeJson(nested)
    expect(duplicates.map(({ length }) => length)).toEqual([1042, 1042])
    expect(duplicates[0]?.startsWith(`duplicate field "${'k'.repeat(1000)}.k`)).toBe(true)
  })
})

describe('fields and list items of one body', () => {
  const fields = (count: number): string =>
    `{${Array.from({ length: count }, (_, index) => `"k${index}":1`).join(',')}}`

  test.each([
    ['fields', fields(MOST_VALUES)],
    ['items', `{"a":[${'1,'.repeat(MOST_VALUES - 2)}1]}`],
  ])('as many %s as are allowed', (_name, text) => {
    expect(decodeJson(text).duplicates).toEqual([])
  })

  test.each([
    ['fields', fields(MOST_VALUES + 1)],
    ['items', `{"a":[${'1,'.repeat(MOST_VALUES - 1)}1]}`],
    ['repeated fields', twice(MOST_VALUES + 1)],
  ])('one of the %s too many', (_name, text) => {
    expect(() => decodeJson(text)).toThrow('expected at most 50000 fields and list items in one body, found more')
  })
})
