import fc from 'fast-check'
import { expect, test } from 'vitest'
import { withholdRuntimeWords } from './runtime-words.ts'

const WORDS = 'executing processes for container: failed to load /nope: no such file or directory'

function through(chunks: readonly string[], failure: string | undefined): string {
  const words = withholdRuntimeWords()
  const passed = chunks.map((chunk) => words.pass(Buffer.from(chunk)))
  return Buffer.concat([...passed, words.rest(failure)].map((each) => each ?? Buffer.alloc(0))).toString()
}

test.each([
  ['what the failure says again', `${WORDS}\n`, WORDS, ''],
  ['the same words of a command that ran', `${WORDS}\n`, undefined, `${WORDS}\n`],
  ['other words than the failure has', `${WORDS} and more\n`, WORDS, `${WORDS} and more\n`],
  ['what only begins alike', 'executing pro', undefined, 'executing pro'],
  ['nothing', '', WORDS, ''],
])('%s', (_, said, failure, expected) => {
  expect(through([said], failure)).toBe(expected)
  expect(through([said.slice(0, 40), said.slice(40)], failure)).toBe(expected)
})

test('any output of a command is passed on as it is, however it comes', () => {
  const outputs = fc.array(
    fc.oneof(fc.string(), fc.constantFrom(WORDS.slice(0, 10), WORDS.slice(10), WORDS, 'x'.repeat(9_000))),
  )
  fc.assert(fc.property(outputs, (chunks) => through(chunks, undefined) === chunks.join('')))
})

test('a command that waits for its client is not kept back', () => {
  const words = withholdRuntimeWords()
  expect(words.pass(Buffer.from('e'))?.toString()).toBe('e')
  expect(words.pass(Buffer.from(WORDS))?.toString()).toBe(WORDS)
})
