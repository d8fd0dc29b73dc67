import { Duplex, PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from 'vitest'
import { connectOrElse } from './connect-or-else.ts'

const NOBODY = Object.assign(new Error('nobody listens'), { code: 'network' })

/** Says what it was told, after a word of its own. */
function echo(word: string): Duplex {
  const stream = new PassThrough()
  stream.write(`${word}: `)
  return stream
}

/** Takes what it is told, and then turns out to be nobody. */
function nobody(after: number, code = 'network'): Duplex {
  let taken = 0
  return new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, callback) {
      taken += chunk.length
      callback()
      if (taken >= after) this.destroy(Object.assign(new Error('nobody listens'), { code }))
    },
  })
}

const other = async (): Promise<Duplex> => echo('other')

describe('a connection', () => {
  test('is the first one where that is answered', async () => {
    const stream = await connectOrElse(async () => echo('first'), other)
    stream.end('hello')
    expect(await text(stream)).toBe('first: hello')
  })

  test('is the other one where nobody listens', async () => {
    const stream = await connectOrElse(() => Promise.reject(NOBODY), other)
    stream.end('hello')
    expect(await text(stream)).toBe('other: hello')
  })

  test.each(['network', 'EPIPE', 'ECONNRESET'])('becomes the other one where %s shows it only later', async (code) => {
    const stream = await connectOrElse(async () => nobody(8, code), other)
    for (const word of ['hel', 'lo', ' you', ' there']) stream.write(word)
    stream.end('.')
    expect(await text(stream)).toBe('other: hello you there.')
  })

  test('becomes the other one where it has failed before anybody listened', async () => {
    const first = nobody(1)
    first.on('error', () => {}).destroy(NOBODY)
    await new Promise((resolve) => first.once('close', resolve))
    const stream = await connectOrElse(async () => first, other)
    stream.end('hello')
    expect(await text(stream)).toBe('other: hello')
  })

  test('loses nothing of much that is said before it is known', async () => {
    const stream = await connectOrElse(async () => nobody(60_000), other)
    const sending = pipeline(Readable.from(Array.from({ length: 40 }, () => Buffer.alloc(25_000))), stream)
    expect((await text(stream)).length).toBe('other: '.length + 1_000_000)
    await sending
  })

  test('breaks where it fails otherwise', async () => {
    await expect(connectOrElse(() => Promise.reject(new Error('full')), other)).rejects.toThrow('full')
    const stream = await connectOrElse(
      async () => nobody(1),
      () => Promise.reject(new Error('not there either')),
    )
    stream.write('x')
    await expect(text(stream)).rejects.toThrow('not there either')
  })
})
