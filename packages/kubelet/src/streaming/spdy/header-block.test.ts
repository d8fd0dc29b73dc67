import { constants, createDeflate, deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createHeaderDecoder, createHeaderEncoder, type Headers } from './header-block.ts'
import { HEADER_DICTIONARY } from './header-dictionary.ts'

const headers: fc.Arbitrary<Headers> = fc
  .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/), fc.stringMatching(/^[ -~]{0,40}$/)), {
    selector: ([name]) => name,
    maxLength: 6,
  })
  .map((entries) => new Map(entries.map(([name, value]) => [name, [value]])))

function block(...texts: string[]): Buffer {
  const word = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  }
  return Buffer.concat([word(texts.length / 2), ...texts.flatMap((text) => [word(text.length), Buffer.from(text)])])
}

/** What a peer with a real compressor would send as its first block. */
function compressed(bytes: Buffer): Buffer {
  return deflateSync(bytes, { dictionary: HEADER_DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH })
}

describe('header blocks', () => {
  test('what is encoded is decoded, block after block', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(headers, { maxLength: 5 }), async (blocks) => {
        const encode = createHeaderEncoder()
        using decoder = createHeaderDecoder()
        for (const given of blocks) expect(await decoder.decode(encode(given))).toEqual(given)
      }),
    )
  })

  test('blocks that refer back to earlier ones are inflated', async () => {
    const deflate = createDeflate({ dictionary: HEADER_DICTIONARY, flush: constants.Z_SYNC_FLUSH })
    using decoder = createHeaderDecoder()
    for (const requestId of ['0', '1', '2']) {
      const written: Buffer[] = []
      deflate.on('data', (chunk: Buffer) => written.push(chunk))
      await new Promise<void>((resolve) =>
        deflate.write(block('streamtype', 'data', 'port', '8080', 'requestid', requestId), () => resolve()),
      )
      deflate.removeAllListeners('data')
      expect(await decoder.decode(Buffer.concat(written))).toEqual(
        new Map([
          ['streamtype', ['data']],
          ['port', ['8080']],
          ['requestid', [requestId]],
        ]),
      )
    }
    deflate.destroy()
  })

  test.each<[name: string, wire: () => Buffer, message: string]>([
    [
      'a block that inflates to megabytes',
      () => compressed(Buffer.alloc(8 * 1024 * 1024)),
      'a header block inflates to more than 65536 bytes',
    ],
    [
      'bytes that are no zlib stream',
      () => Buffer.from('nonsense'),
      'a header block is not the zlib stream that it should be',
    ],
    ['an empty block', () => compressed(Buffer.alloc(0)), 'a header block ends inside a length'],
    [
      'a count without headers',
      () => compressed(Buffer.from([0xff, 0xff, 0xff, 0xff])),
      'a header block ends inside a length',
    ],
    [
      'a name longer than the block',
      () => compressed(Buffer.from([0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff])),
      'a header is longer than its block',
    ],
    [
      'a name twice',
      () => compressed(block('port', '1', 'Port', '2')),
      'the header name "port" is empty or sent twice',
    ],
    ['an empty name', () => compressed(block('', '1')), 'the header name "" is empty or sent twice'],
  ])('refuses %s', async (_name, wire, message) => {
    using decoder = createHeaderDecoder()
    await expect(decoder.decode(wire())).rejects.toThrow(message)
  })

  test('names that objects are special about are names like others', async () => {
    using decoder = createHeaderDecoder()
    expect(await decoder.decode(compressed(block('__proto__', 'a', 'constructor', 'b')))).toEqual(
      new Map([
        ['__proto__', ['a']],
        ['constructor', ['b']],
      ]),
    )
  })
})
