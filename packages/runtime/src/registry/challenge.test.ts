import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseChallenges } from './challenge.ts'

describe('parseChallenges', () => {
  test.each<[string | undefined, Array<[scheme: string, parameters: Record<string, string>]>]>([
    [undefined, []],
    ['', []],
    ['Basic', [['basic', {}]]],
    ['Basic realm="a \\"b\\", c"', [['basic', { realm: 'a "b", c' }]]],
    [
      'Bearer realm="https://auth.example.org/token",service="registry",scope="repository:a/b:pull,push"',
      [['bearer', { realm: 'https://auth.example.org/token', service: 'registry', scope: 'repository:a/b:pull,push' }]],
    ],
    [
      'BASIC Realm=x, Bearer realm = "y"',
      [
        ['basic', { realm: 'x' }],
        ['bearer', { realm: 'y' }],
      ],
    ],
    ['"', []],
  ])('%j', (header, expected) =>
    expect(parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)])).toEqual(
      expected,
    ),
  )

  test('reads whatever comes, in time', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 5000 }), (header) => {
        parseChallenges(header)
      }),
    )
    const began = performance.now()
    parseChallenges(`Bearer ${'a="\\\\'.repeat(100_000)}`)
    parseChallenges('a '.repeat(100_000))
    expect(performance.now() - began).toBeLessThan(500)
  })
})
