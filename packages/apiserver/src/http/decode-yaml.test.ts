import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { MOST_PROBLEMS } from '../verbs/decode.ts'
import { decodeYaml } from './decode-yaml.ts'

describe('keys that occur twice', () => {
  test('are named by their path, and by their line', () => {
    expect(decodeYaml('spec:\n  a: 1\n  a: 2\n').duplicates).toEqual(['duplicate field "spec.a"'])
    expect(decodeYaml('\nspec:\n  a: 1\n  b: 1\n  a: 2\nspec: {c: 1, c: 2}').repeatedLines).toEqual([
      'line 6: key "spec" already set in map',
      'line 5: key "a" already set in map',
      'line 6: key "c" already set in map',
    ])
    expect(decodeYaml('{"a": 1, "a": 2}').repeatedLines).toEqual(['line 1: key "a" already set in map'])
  })

  test('are not all told of: a body of 3 MiB would become gigabytes', () => {
    const { duplicates, repeatedLines } = decodeYaml('a: 1\n'.repeat(1000))
    expect([duplicates.length, repeatedLines.length]).toEqual([MOST_PROBLEMS, MOST_PROBLEMS])
  })
})

test('YAML has the values that kube-apiserver reads', () => {
  expect(decodeYaml('mode: 0400\non: yes\ntext: "0400"\n').value).toEqual({ mode: 256, true: true, text: '0400' })
})

test.each<[text: string, message: string]>([
  ['a: 1\n\tb: 2\n', 'yaml, line 2, column 1: Tabs are not allowed as indentation'],
  ['? [a, b]\n: 1\n', 'yaml: invalid map key: ["a","b"]'],
  ['k: {{a: 1}: 2}\n', 'yaml: invalid map key: {"a":1}'],
  ['k: &list [a]\n*list : 1\n', 'yaml: invalid map key: *list'],
  ['a: !!binary aGk\n', 'yaml, line 1, column 4: !!binary value contains invalid base64 data'],
])('YAML that kube-apiserver does not read is refused, and nothing said beside: %j', (text, message) => {
  const warned = vi.spyOn(process, 'emitWarning')
  onTestFinished(() => warned.mockRestore())
  expect(() => decodeYaml(text)).toThrow(message)
  expect(warned).not.toHaveBeenCalled()
})

test('of several YAML documents the first is read, and tags of other languages make no values of theirs', () => {
  expect(decodeYaml('a: 1\n---\nb: 2\n').value).toStrictEqual({ a: 1 })
  expect(decodeYaml('a: !!set {b}\nc: !!timestamp 2026-01-01\nd: !!binary aGk=\n').value).toStrictEqual({
    a: { b: null },
    c: '2026-01-01',
    d: 'hi',
  })
})

describe('YAML that is made to take long', () => {
  /** What four times the text takes, in times of the text: four where it is read in one go, sixteen where it is not. */
  function growth(make: (count: number) => string, count: number): number {
    const take = (text: string): number => {
      const begun = process.cpuUsage()
      try {
        decodeYaml(text)
      } catch {
        // What is wrong with it is not asked here.
      }
      const { user } = process.cpuUsage(begun)
      return user
    }
    take(make(count))
    return take(make(4 * count)) / take(make(count))
  }

  test.each<[string, (count: number) => string, number]>([
    ['keys that are aliases', (count) => `&a a: 1\n${'*a : 1\n'.repeat(count)}`, 1000],
    ['errors in one line', (count) => '[]'.repeat(count), 15_000],
  ])('takes no longer than other YAML: %s', (_what, make, count) => {
    expect(growth(make, count)).toBeLessThan(9)
  })

  test('is not read to its end where it has more than is taken', () => {
    expect(() => decodeYaml(`a: [${'{},'.repeat(900_000)}`)).toThrow('Request entity too large')
  })
})
