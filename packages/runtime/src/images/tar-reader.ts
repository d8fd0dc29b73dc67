import { RuntimeError } from '../runtime.ts'

/**
 * One member of a tar archive. Names are byte strings: each character is one byte of the name, as Linux has it.
 * `body` must be read, or left alone, before the next entry is asked for.
 */
export interface TarEntry {
  path: string
  kind: 'file' | 'directory' | 'symlink' | 'hardlink' | 'device' | 'fifo'
  size: number
  mode: number
  uid: number
  gid: number
  /** Seconds since the epoch. */
  mtime: number
  /** Target of a link. */
  link: string
  body: AsyncIterable<Buffer>
}

const BLOCK = 512
// A name has at most 4096 bytes on Linux, extended attributes 64 KiB each.
const LONGEST_HEADER = 1024 * 1024

/** Kinds by type flag; "7" was once for contiguous files, and nobody treats them differently. */
const KINDS: Record<string, TarEntry['kind']> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'device',
  '4': 'device',
  '5': 'directory',
  '6': 'fifo',
}

/**
 * Reads an archive as a stream: ustar, with the extensions of PAX and GNU. Memory use does not depend on what the archive
 * says. Throws a `RuntimeError` of code `bad-archive` where it is cut off, damaged, or uses what no image builder does.
 */
export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<TarEntry> {
  const bytes = createByteReader(source)
  const global: PaxRecords = new Map()
  let next: PaxRecords = new Map()
  for (;;) {
    const block = await bytes.take(BLOCK)
    if (!block || block.every((byte) => byte === 0)) return
    checkSum(block)
    const type = block.toString('latin1', 156, 157)
    const size = paxNumber(next.get('size') ?? global.get('size')) ?? readNumber(block.subarray(124, 136))
    if (type === 'x' || type === 'g' || type === 'L' || type === 'K') {
      const payload = await takeHeader(bytes, readNumber(block.subarray(124, 136)))
      if (type === 'x') next = new Map([...next, ...parsePax(payload)])
      else if (type === 'g') for (const [key, value] of parsePax(payload)) global.set(key, value)
      else next.set(type === 'L' ? 'path' : 'linkpath', untilZero(payload))
      continue
    }
    const kind = KINDS[type]
    if (!kind) throw damaged(`a member of type ${JSON.stringify(type)}`)
    if (next.has('GNU.sparse.major') || next.has('GNU.sparse.map')) throw damaged('a sparse file')
    const extended = (key: string): string | undefined => next.get(key) ?? global.get(key)
    // Only files have a body, whatever the size of others says.
    const bodySize = kind === 'file' ? size : 0
    const body = bytes.part(bodySize)
    yield {
      path: extended('path') ?? ustarPath(block),
      kind,
      size: bodySize,
      mode: readNumber(block.subarray(100, 108)) & 0o7777,
      uid: paxNumber(extended('uid')) ?? readNumber(block.subarray(108, 116)),
      gid: paxNumber(extended('gid')) ?? readNumber(block.subarray(116, 124)),
      mtime: paxTime(extended('mtime')) ?? readNumber(block.subarray(136, 148)),
      link: extended('linkpath') ?? untilZero(block.subarray(157, 257)),
      body,
    }
    next = new Map()
    await body.skip()
    await bytes.skip((BLOCK - (bodySize % BLOCK)) % BLOCK)
  }
}

type PaxRecords = Map<string, string>

interface ByteReader {
  /** Undefined at the end of the source; throws where it ends in the middle. */
  take(length: number): Promise<Buffer | undefined>
  skip(length: number): Promise<void>
  /** The next `length` bytes as a stream, and a way past what nobody read of them. */
  part(length: number): AsyncIterable<Buffer> & { skip(): Promise<void> }
}

function createByteReader(source: AsyncIterable<Buffer>): ByteReader {
  const iterator = source[Symbol.asyncIterator]()
  let pending: Buffer = Buffer.alloc(0)

  /** At most `limit` bytes; undefined at the end. */
  async function some(limit: number): Promise<Buffer | undefined> {
    while (pending.length === 0) {
      const { value, done } = await iterator.next()
      if (done) return undefined
      pending = value
    }
    const piece = pending.subarray(0, limit)
    pending = pending.subarray(piece.length)
    return piece
  }

  async function skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) {
      const piece = await some(left)
      if (!piece) throw damaged('its end in the middle of a member')
      left -= piece.length
    }
  }

  return {
    skip,
    async take(length) {
      const parts: Buffer[] = []
      for (let left = length; left > 0; ) {
        const piece = await some(left)
        if (!piece && parts.length === 0) return undefined
        if (!piece) throw damaged('its end in the middle of a header')
        parts.push(piece)
        left -= piece.length
      }
      return parts.length === 1 ? parts[0] : Buffer.concat(parts)
    },
    part(length) {
      let left = length
      return {
        async *[Symbol.asyncIterator]() {
          while (left > 0) {
            const piece = await some(left)
            if (!piece) throw damaged('its end in the middle of a file')
            left -= piece.length
            yield piece
          }
        },
        async skip() {
          const rest = left
          left = 0
          await skip(rest)
        },
      }
    },
  }
}

async function takeHeader(bytes: ByteReader, size: number): Promise<Buffer> {
  if (size > LONGEST_HEADER) throw damaged(`an extended header of ${size} bytes`)
  const payload = size === 0 ? Buffer.alloc(0) : await bytes.take(size)
  if (!payload) throw damaged('its end in the middle of a header')
  await bytes.skip((BLOCK - (size % BLOCK)) % BLOCK)
  return payload
}

/** Records `<length> <key>=<value>\n`, the length counting itself. */
function parsePax(payload: Buffer): PaxRecords {
  const records: PaxRecords = new Map()
  for (let at = 0; at < payload.length; ) {
    const space = payload.indexOf(0x20, at)
    const length = space < 0 || space - at > 8 ? Number.NaN : Number(payload.toString('latin1', at, space))
    if (!Number.isSafeInteger(length) || length < space - at + 3 || at + length > payload.length)
      throw damaged('a broken extended header')
    const record = payload.toString('latin1', space + 1, at + length - 1)
    const equals = record.indexOf('=')
    if (equals < 1) throw damaged('a broken extended header')
    records.set(record.slice(0, equals), record.slice(equals + 1))
    at += length
  }
  return records
}

function ustarPath(block: Buffer): string {
  const name = untilZero(block.subarray(0, 100))
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? untilZero(block.subarray(345, 500)) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

function untilZero(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end)
}

/** Octal digits, or big-endian where the first bit is set, as GNU writes large numbers. */
function readNumber(field: Buffer): number {
  const first = field[0] ?? 0
  if (first & 0x80) {
    let value = first & 0x7f
    for (const byte of field.subarray(1)) value = value * 256 + byte
    if (!Number.isSafeInteger(value)) throw damaged('a number out of range')
    return value
  }
  const text = untilZero(field).trim()
  if (!/^[0-7]*$/.test(text)) throw damaged('a field that is no number')
  return text === '' ? 0 : Number.parseInt(text, 8)
}

function paxNumber(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw damaged('a field that is no number')
  return value
}

function paxTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isFinite(value)) throw damaged('a field that is no number')
  return value
}

function checkSum(block: Buffer): void {
  let sum = 0
  for (let index = 0; index < BLOCK; index++) sum += index >= 148 && index < 156 ? 0x20 : (block[index] ?? 0)
  if (readNumber(block.subarray(148, 156)) !== sum) throw damaged('a header whose checksum is wrong')
}

function damaged(found: string): RuntimeError {
  return new RuntimeError('bad-archive', `expected a tar archive of an image, found ${found}`)
}
