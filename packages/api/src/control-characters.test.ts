import fc from 'fast-check'
import { expect, test } from 'vitest'
import { showControlCharacters } from './control-characters.ts'

/** Among them all control characters. */
const LETTER = fc.integer({ min: 0, max: 0x17f }).map((code) => String.fromCharCode(code))

test('shows what a terminal would act on, and leaves all else and what is to be kept', () => {
  expect(showControlCharacters('ä\u001b[2J\u009b31m\u007f\r\n\tb', '\t')).toBe(
    String.raw`ä\u001b[2J\u009b31m\u007f\r\n` + '\tb',
  )
  fc.assert(
    fc.property(fc.string({ unit: LETTER }), fc.constantFrom('', '\t', '\n\t'), (text, keep) => {
      const shown = showControlCharacters(text, keep)
      expect(shown.match(/\p{Cc}/gu) ?? []).toEqual(text.match(/\p{Cc}/gu)?.filter((each) => keep.includes(each)) ?? [])
      // It says the same: what it escaped reads back, where the text has no backslashes of its own.
      const plain = text.replaceAll('\\', '/')
      const json = showControlCharacters(plain).replaceAll('"', '\\"')
      expect(JSON.parse(`"${json}"`)).toBe(plain)
    }),
  )
})
