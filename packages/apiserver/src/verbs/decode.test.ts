import { describe, expect, test } from 'vitest'
import { decodeJson, decodeYaml, MOST_PROBLEMS } from './decode.ts'

const twice = (count: number): string => `{${Array.from({ length: count }, () => '"a":1').join(',')}}`

describe('keys that occur twice', () => {
  test('are named by their path', () => {
    expect(decodeJson(`{"spec":${twice(2)}}`).duplicates).toEqual(['duplicate field "spec.a"'])
    expect(decodeYaml('spec:\n  a: 1\n  a: 2\n').duplicates).toEqual(['duplicate field "spec.a"'])
  })

  test('are not all told of: a body of 3 MiB would become gigabytes', () => {
    expect(decodeJson(twice(100_000)).duplicates).toHaveLength(MOST_PROBLEMS)
    expect(decodeYaml('a: 1\n'.repeat(1000)).duplicates).toHaveLength(MOST_PROBLEMS)
  })

  test('are named by the beginning of a path that is too long', () => {
    const nested = `${'{"k":'.repeat(400).replaceAll('k', 'k'.repeat(1000))}${twice(3)}${'}'.repeat(400)}`
    const { duplicates } = decodeJson(nested)
    expect(duplicates.map(({ length }) => length)).toEqual([1042, 1042])
    expect(duplicates[0]?.startsWith(`duplicate field "${'k'.repeat(1000)}.k`)).toBe(true)
  })
})
