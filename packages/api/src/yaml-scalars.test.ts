import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { KUBERNETES_YAML } from './yaml-scalars.ts'

test.each([
  ['0400', 256],
  ['0o644', 420],
  ['-010', -8],
  ['0x1F', 31],
  ['0b101', 5],
  ['1_000', 1000],
  ['+12', 12],
  ['0', 0],
  ['08', 8],
  ['09.5', 9.5],
  ['.5', 0.5],
  ['-.5', -0.5],
  ['1.', 1],
  ['12e03', 12_000],
  ['-2E+05', -200_000],
  ['0x', '0x'],
  ['0x_', '0x_'],
  ['0g1', '0g1'],
  ['1e', '1e'],
  ['1Gi', '1Gi'],
  ['100m', '100m'],
  ['1.2.3', '1.2.3'],
  ['10.0.0.1', '10.0.0.1'],
  ['1:30', '1:30'],
  ['2026-01-01', '2026-01-01'],
  ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'],
  ['yes', true],
  ['on', true],
  ['y', true],
  ['Off', false],
  ['no', false],
  ['oN', 'oN'],
  ['~', null],
  ['', null],
  ['"yes"', 'yes'],
  ["'0400'", '0400'],
  ['!!str 0400', '0400'],
  ['!!binary aGk=', 'hi'],
  ['!!binary |\n  aGkg\n  aGk=', 'hi hi'],
  ['!!timestamp 2026-01-01', '2026-01-01'],
  ['!!set {x, z}', { x: null, z: null }],
  ['!!omap [x: 1]', [{ x: 1 }]],
])('%s is what kubectl makes of it', (text, value) => {
  expect(parse(`a: ${text}`, { ...KUBERNETES_YAML, logLevel: 'error' })).toStrictEqual({ a: value })
})

test('what is written is read as the same', () => {
  const scalars = fc.oneof(
    fc.constantFrom(
      'y',
      'no',
      'On',
      '~',
      '',
      '0400',
      '0o17',
      '-0b1',
      '1_000',
      '0_x1F',
      '.5',
      '1:30',
      '2026-01-01',
      '<<',
    ),
    fc.stringMatching(/^[-+]?[0-9._eExXoObBa-f]{0,6}$/),
    fc.string(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
    fc.boolean(),
    fc.constant(null),
  )
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[-+a-zA-Z0-9._]{1,6}$/), scalars), (value) => {
      expect(parse(stringify(value, KUBERNETES_YAML), KUBERNETES_YAML)).toEqual(value)
    }),
  )
})

test('keys are texts, and maps are merged', () => {
  const text = 'base: &base {1: one, on: two}\nlike:\n  <<: *base\n  a: b\n'
  const base = { '1': 'one', true: 'two' }
  expect(parse(text, KUBERNETES_YAML)).toEqual({ base, like: { ...base, a: 'b' } })
})
