import fc from 'fast-check'
import { expect, test } from 'vitest'
import { linesOf } from './lines.ts'

async function* cut(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let from = 0
  for (const size of sizes) {
    if (from >= bytes.length) return
    yield bytes.subarray(from, from + size)
    from += size
  }
  yield bytes.subarray(from)
}

test('lines are the same however the bytes are cut', async () => {
  const line = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ' ').toWellFormed())
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.array(fc.integer({ min: 1, max: 9 })), async (lines, sizes) => {
      const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(''))
      expect(await Array.fromAsync(linesOf(cut(bytes, sizes), 1000))).toEqual(lines)
    }),
  )
})

test.each([
  [10, `${'x'.repeat(10)}\n`, undefined],
  [10, `${'x'.repeat(11)}\n`, 'too-large'],
  [10, 'x'.repeat(11), 'too-large'],
  [10, 'ok\nrest', 'lost'],
])('a limit of %i bytes and %j', async (limit, text, code) => {
  for (const sizes of [[], [1, 2, 3, 4, 5]]) {
    const reading = Array.fromAsync(linesOf(cut(Buffer.from(text), sizes), limit))
    if (code) await expect(reading).rejects.toMatchObject({ code })
    else expect(await reading).toEqual(['x'.repeat(limit)])
  }
})
