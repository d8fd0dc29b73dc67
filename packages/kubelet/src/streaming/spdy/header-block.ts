/** SPDY's name/value header blocks: one zlib stream in each direction over the whole connection. */
import { constants, createInflate, type Inflate } from 'node:zlib'
import { HEADER_DICTIONARY } from './header-dictionary.ts'
import { SpdyError } from './spdy-error.ts'

/** A name has the values that were sent for it, in order; names are lower case. A Map, since names are the peer's choice. */
export type Headers = ReadonlyMap<string, readonly string[]>

/** Bound of one block once inflated: 64 KiB of zeros compress to a few dozen bytes, so the frame's own bound says little. */
const MAX_BLOCK_BYTES = 64 * 1024

// zlib's header for a 32 KiB window with a preset dictionary, then the dictionary's Adler-32 as the draft fixes it.
const ZLIB_PREFIX = Buffer.from([0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2])

// What a flush ends with. Go's inflater hands nothing out before it.
const EMPTY_BLOCK = Buffer.from([0x00, 0x00, 0x00, 0xff, 0xff])

/**
 * Writes header blocks. What this side has to say is a few bytes a stream, so it is stored rather than compressed: valid
 * zlib, no window, no asynchrony.
 */
export function createHeaderEncoder(): (headers: Headers) => Buffer {
  let first = true
  return (headers) => {
    const parts: Buffer[] = [word(headers.size)]
    for (const [name, values] of headers) {
      for (const text of [name, values.join('\0')]) {
        const bytes = Buffer.from(text)
        parts.push(word(bytes.length), bytes)
      }
    }
    const block = Buffer.concat(parts)
    if (block.length > 0xffff) throw new SpdyError('too-large', 'a header block is larger than one stored block')
    const stored = Buffer.alloc(5)
    stored.writeUInt16LE(block.length, 1)
    stored.writeUInt16LE(block.length ^ 0xffff, 3)
    const prefix = first ? ZLIB_PREFIX : Buffer.alloc(0)
    first = false
    return Buffer.concat([prefix, stored, block, EMPTY_BLOCK])
  }
}

export interface HeaderDecoder extends Disposable {
  /**
   * Inflates the connection's next block. Calls must not overlap, and every block must be given, wanted or not: each
   * one is compressed against those before it. Rejects with a SpdyError; the connection cannot go on then.
   */
  decode(block: Buffer): Promise<Headers>
}

export function createHeaderDecoder(): HeaderDecoder {
  const inflate: Inflate = createInflate({ dictionary: HEADER_DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH })
  let collected: Buffer[] = []
  let size = 0
  let failure: SpdyError | undefined
  inflate.on('error', (error) => {
    failure ??= new SpdyError('protocol', 'a header block is not the zlib stream that it should be', { cause: error })
  })
  inflate.on('data', (bytes: Buffer) => {
    size += bytes.length
    if (size > MAX_BLOCK_BYTES) {
      failure ??= new SpdyError('too-large', `a header block inflates to more than ${MAX_BLOCK_BYTES} bytes`)
      inflate.destroy()
      return
    }
    collected.push(bytes)
  })

  async function decode(block: Buffer): Promise<Headers> {
    collected = []
    size = 0
    if (inflate.destroyed) throw failure ?? new SpdyError('closed', 'the connection was closed')
    await new Promise<void>((resolve, reject) => {
      const fail = () => reject(failure ?? new SpdyError('closed', 'the connection was closed'))
      inflate.once('close', fail)
      // The callback comes after everything that these bytes inflate to was emitted; after an error, 'close' comes too.
      inflate.write(block, (error) => {
        if (error) return
        inflate.off('close', fail)
        resolve()
      })
    })
    if (failure) throw failure
    return parseBlock(Buffer.concat(collected))
  }

  return { decode, [Symbol.dispose]: () => inflate.destroy() }
}

function parseBlock(block: Buffer): Headers {
  let offset = 0
  function take(): number {
    if (offset + 4 > block.length) throw new SpdyError('protocol', 'a header block ends inside a length')
    offset += 4
    return block.readUInt32BE(offset - 4)
  }
  function text(): string {
    const length = take()
    if (length > block.length - offset) throw new SpdyError('protocol', 'a header is longer than its block')
    offset += length
    return block.toString('utf8', offset - length, offset)
  }
  const headers = new Map<string, readonly string[]>()
  const count = take()
  // The count is the peer's claim: what ends the loop is the block, which each round shortens by eight bytes or more.
  for (let index = 0; index < count; index++) {
    const name = text().toLowerCase()
    if (name === '' || headers.has(name)) {
      throw new SpdyError('protocol', `the header name ${JSON.stringify(name.slice(0, 64))} is empty or sent twice`)
    }
    headers.set(name, text().split('\0'))
  }
  return headers
}

function word(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}
