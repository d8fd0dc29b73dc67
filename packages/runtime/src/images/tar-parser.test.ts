import { packTar } from 'modern-tar'
import { expect, test } from 'vitest'
import { file } from '../testing/image-archive.ts'
import { createTarParser } from './tar-parser.ts'

const archive = Buffer.from(await packTar([file('a', 'one'), file('b', 'two')]))

/** Paths of its members. */
function read(bytes: Buffer): string[] {
  const paths: string[] = []
  const parser = createTarParser({ begin: ({ path }) => paths.push(path), data() {}, end() {} })
  parser.push(bytes)
  parser.finish()
  return paths
}

test('reads an archive', () => {
  expect(read(archive)).toEqual(['a', 'b'])
})

test.each([
  ['text', Buffer.from('hello '.repeat(200))],
  ['less than a header', Buffer.from('#!')],
  ['an archive without its first byte', archive.subarray(1)],
])('%s is not a tar archive', (_, bytes) => {
  expect(() => read(bytes)).toThrow(expect.objectContaining({ code: 'bad-archive', message: 'not a tar archive' }))
})

test.each([
  [
    'a later header that is damaged',
    Buffer.concat([archive.subarray(0, 1024), Buffer.alloc(512, 'x')]),
    'a header whose checksum is wrong',
  ],
  ['an end within a header', archive.subarray(0, 1100), 'its end in the middle of a header'],
  ['an end within a file', archive.subarray(0, 514), 'its end in the middle of a file'],
])('%s is one that is damaged', (_, bytes, found) => {
  expect(() => read(bytes)).toThrow(
    expect.objectContaining({ code: 'bad-archive', message: `expected a tar archive of an image, found ${found}` }),
  )
})
