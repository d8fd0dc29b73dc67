import { describe, expect, test } from 'vitest'
import { nameHash } from './name-hash.ts'

describe('nameHash', () => {
  // Vectors of FNV-1a 32 as its authors publish them, and names that agent-sandbox's users see.
  test.each([
    ['', '811c9dc5'],
    ['a', 'e40c292c'],
    ['b', 'e70c2de5'],
    ['foobar', 'bf9cf968'],
    ['chongo was here!\n', 'd49930d5'],
  ])('%j is %s', (name, hash) => {
    expect(nameHash(name)).toBe(hash)
  })

  test('keeps leading zeros', () => {
    const short = Array.from({ length: 2000 }, (_, index) => nameHash(`sandbox-${index}`)).filter((hash) =>
      hash.startsWith('0'),
    )
    expect(short.length).toBeGreaterThan(0)
    expect(short.every((hash) => /^[0-9a-f]{8}$/.test(hash))).toBe(true)
  })

  test('works on UTF-8, not on UTF-16 units', () => {
    expect(nameHash('é')).not.toBe(nameHash('\u00c3'))
    expect(nameHash('é')).toMatchInlineSnapshot(`"1e9de8c1"`)
  })
})
