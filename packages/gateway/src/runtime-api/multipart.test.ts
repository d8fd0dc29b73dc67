import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { filePart } from './multipart.ts'

const TYPE = 'multipart/form-data; boundary=b0undary'

async function* chunked(body: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size)
}

function bodyOf(disposition: string, content: Buffer, before = ''): Buffer {
  const head = `${before}--b0undary\r\nContent-Disposition: ${disposition}\r\nContent-Type: application/octet-stream\r\n\r\n`
  return Buffer.concat([Buffer.from(head), content, Buffer.from('\r\n--b0undary--\r\n')])
}

async function read(body: Buffer, size = 1024): Promise<{ filename: string; content: Buffer }> {
  const { filename, content } = await filePart(chunked(body, size), TYPE, 'file')
  return { filename, content: await buffer(content) }
}

test('the content is what was sent, wherever the network cuts it', async () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    // Much that looks like the end and is none.
    fc
      .array(fc.constantFrom('\r', '\n', '--', '\r\n--', '\r\n--b0undar', 'x'))
      .map((parts) => Buffer.from(parts.join(''))),
  )
  await fc.assert(
    fc.asyncProperty(content, fc.integer({ min: 1, max: 64 }), async (bytes, size) => {
      const sent = Buffer.from(bytes)
      expect(await read(bodyOf('form-data; name="file"; filename="f"', sent), size)).toEqual({
        filename: 'f',
        content: sent,
      })
    }),
  )
})

test.each([
  ['form-data; name="file"; filename="a/b c.txt"', 'a/b c.txt'],
  ['form-data; name="file"; filename="say \\"hi\\" \\\\"', 'say "hi" \\'],
  ['form-data; name="file"; filename*=utf-8\'\'%C3%A4%2Fb', 'ä/b'],
  ['form-data; name="file"; filename="ä"', 'ä'],
  ['form-data; name=file; filename=plain', 'plain'],
  ['form-data; name="file"', ''],
])('the name in %s', async (disposition, filename) => {
  expect(await read(bodyOf(disposition, Buffer.from('x')))).toEqual({ filename, content: Buffer.from('x') })
})

test('other parts are skipped', async () => {
  const other = '--b0undary\r\nContent-Disposition: form-data; name="other"\r\n\r\nvalue\r\n'
  const body = bodyOf('form-data; name="file"; filename="f"', Buffer.from('x'), other)
  expect(await read(body, 1)).toEqual({ filename: 'f', content: Buffer.from('x') })
})

test.each([
  ['cut off in the content', bodyOf('form-data; name="file"', Buffer.from('x')).subarray(0, -20), 'ends in the middle'],
  ['cut off in the head', Buffer.from('--b0undary\r\nContent-Disp'), 'ends in the middle'],
  ['without the part', bodyOf('form-data; name="other"', Buffer.from('x')), 'missing the required "file" part'],
  [
    'with a head without end',
    bodyOf(`form-data; name="file"; x="${'x'.repeat(20_000)}"`, Buffer.from('x')),
    'longer than',
  ],
])('a body %s is refused', async (_name, body, message) => {
  await expect(read(body)).rejects.toThrow(message)
})

test('another type is refused', async () => {
  await expect(filePart(chunked(Buffer.alloc(0), 1), 'text/plain', 'file')).rejects.toThrow('multipart/form-data')
})
