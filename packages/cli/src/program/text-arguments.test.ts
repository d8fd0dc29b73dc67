import { expect, test } from 'vitest'
import { requireText } from './text-arguments.ts'

test('takes text, the character that stands for what is none too', () => {
  requireText(['run', 'ä\u{fffd}'], () => Buffer.from('run\0ä\u{fffd}\0'))
})

test('refuses what is none, and says which argument that is', () => {
  expect(() => requireText(['run', 'a\u{fffd}'], () => Buffer.from('run\0a\xff\0', 'latin1'))).toThrow(
    expect.objectContaining({
      code: 'usage',
      message: 'an argument is no text in UTF-8, as names, variables and commands of sandboxes are: "a\u{fffd}"',
    }),
  )
})
