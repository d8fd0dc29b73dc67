import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { createAnswerReader, LONGEST_ANSWER, type SentryAnswer } from './sentry-answer.ts'

function pushAll(pieces: Iterable<Buffer>): SentryAnswer | undefined {
  const reader = createAnswerReader()
  let answer: SentryAnswer | undefined
  for (const piece of pieces) {
    expect(answer).toBeUndefined()
    answer = reader.push(piece)
  }
  return answer
}

function* cut(bytes: Buffer, sizes: readonly number[]): Iterable<Buffer> {
  let at = 0
  for (const size of sizes) {
    if (at < bytes.length) yield bytes.subarray(at, at + size)
    at += size
  }
  if (at < bytes.length) yield bytes.subarray(at)
}

test('an answer is whole with its last byte and not before, whatever is in it and however it is cut', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.array(fc.integer({ min: 1, max: 9 })), (result, sizes) => {
      const bytes = Buffer.from(JSON.stringify({ success: true, result }))
      expect(pushAll(cut(bytes, sizes))).toEqual({ success: true, result: JSON.parse(JSON.stringify(result)) })
    }),
    { numRuns: 200 },
  )
})

test('strings with braces, quotes and backslashes in them do not end it', () => {
  for (const text of ['}', '{', '"}', '\\', '\\"}', '\\\\', '{"success":true}', 'é}ü']) {
    const bytes = Buffer.from(JSON.stringify({ success: false, err: text }))
    expect(pushAll(cut(bytes, Array(bytes.length).fill(1)))).toEqual({ success: false, complaint: text })
  }
})

test('one is parsed once, in however many pieces it comes', () => {
  const bytes = Buffer.from(JSON.stringify({ success: true, result: Array(20_000).fill('pid') }))
  const parse = vi.spyOn(JSON, 'parse')
  try {
    expect(pushAll(cut(bytes, Array(bytes.length).fill(1)))).toBeDefined()
    expect(parse).toHaveBeenCalledTimes(1)
  } finally {
    parse.mockRestore()
  }
})

test('several come one after the other', () => {
  const reader = createAnswerReader()
  for (const result of [1, 'two', [3]]) {
    const bytes = Buffer.from(JSON.stringify({ success: true, result }))
    expect(reader.push(bytes.subarray(0, 7))).toBeUndefined()
    expect(reader.push(bytes.subarray(7))).toEqual({ success: true, result })
  }
})

test.each([
  ['a list', '[1]'],
  ['a word', 'null'],
  ['nothing that parses', '{success}'],
])('%s is refused', (_what, text) => {
  expect(() => createAnswerReader().push(Buffer.from(text))).toThrow()
})

test('what does not end is refused where it is longer than any answer', () => {
  const reader = createAnswerReader()
  const piece = Buffer.alloc(64 * 1024, '{')
  for (let size = piece.length; size <= LONGEST_ANSWER; size += piece.length) reader.push(piece)
  expect(() => reader.push(piece)).toThrow('without an end')
})

test('a complaint that is no text, or a long one, is told as one that is', () => {
  const refused = (err: unknown): SentryAnswer | undefined =>
    createAnswerReader().push(Buffer.from(JSON.stringify({ success: false, err })))
  expect(refused({ toString: 1, valueOf: 1 })).toEqual({ success: false, complaint: 'the sentry refused' })
  expect(refused('x'.repeat(100_000))).toEqual({ success: false, complaint: 'x'.repeat(4096) })
})
