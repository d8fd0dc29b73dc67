import { RuntimeError } from '../runtime-error.ts'

/** One member of a tar archive. Names are byte strings: each character is one byte of the name, as Linux has it. */
export interface TarMember {
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
}

const BLOCK = 512
/** Bytes of a path on Linux, and of what a link leads to. */
const LONGEST_NAME = 4096
// Extended attributes have 64 KiB each.
const LONGEST_HEADER = 1024 * 1024

/** Kinds by type flag; "7" was once for contiguous files, and nobody treats them differently. */
const KINDS: Record<string, TarMember['kind']> = {
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

/** Called as members come: `begin`, then `data` for each piece of a file's content, then `end`. */
export interface TarHandler {
  begin(member: TarMember): void
  data(chunk: Buffer): void
  end(): void
}

export interface TarParser {
  /** Takes the archive's next bytes. What it hands on is valid only until it returns. */
  push(chunk: Buffer): void
  /** Says that the archive has ended. Throws where that is in the middle of something. */
  finish(): void
}

/**
 * Reads an archive as it comes: ustar, with the extensions of PAX and GNU. Nothing of it waits for anything, so that a
 * hundred thousand small files cost no turn of an event loop each. Memory use does not depend on what the archive says.
 * Throws a `RuntimeError` of code `bad-archive` where it is cut off, damaged, or uses what no image builder does.
 */
export function createTarParser(handler: TarHandler): TarParser {
  const block = Buffer.alloc(BLOCK)
  let filled = 0
  let state: 'header' | 'extension' | 'body' | 'padding' | 'over' = 'header'
  /** Bytes until the state changes. */
  let left = 0
  let padding = 0
  let begun = false
  let extension: { type: string; parts: Buffer[] } = { type: '', parts: [] }
  const global: PaxRecords = new Map()
  let next: PaxRecords = new Map()

  function header(): void {
    if (block.every((byte) => byte === 0)) {
      state = 'over'
      return
    }
    if (!isHeader(block)) throw begun ? damaged('a header whose checksum is wrong') : notTar()
    begun = true
    const type = block.toString('latin1', 156, 157)
    const size = readNumber(block.subarray(124, 136))
    if (type === 'x' || type === 'g' || type === 'L' || type === 'K') {
      if (size > LONGEST_HEADER) throw damaged(`an extended header of ${size} bytes`)
      extension = { type, parts: [] }
      enter('extension', size)
      return
    }
    const member = memberOf(block, { type, global, next })
    next = new Map()
    handler.begin(member)
    enter('body', member.size)
  }

  function enter(into: 'extension' | 'body', size: number): void {
    state = into
    left = size
    padding = (BLOCK - (size % BLOCK)) % BLOCK
    if (left === 0) leave()
  }

  /** The end of an extension or a body. */
  function leave(): void {
    if (state === 'body') handler.end()
    else extend(Buffer.concat(extension.parts))
    state = padding > 0 ? 'padding' : 'header'
    left = padding
  }

  function extend(payload: Buffer): void {
    const { type } = extension
    if (type === 'L' || type === 'K') next.set(type === 'L' ? 'path' : 'linkpath', untilZero(payload))
    else for (const [key, value] of parsePax(payload)) (type === 'x' ? next : global).set(key, value)
  }

  /** Takes what it can of a chunk and says how much that was. */
  function take(chunk: Buffer): number {
    if (state === 'over') return chunk.length
    if (state === 'header') {
      const count = chunk.copy(block, filled)
      filled += count
      if (filled === BLOCK) {
        filled = 0
        header()
      }
      return count
    }
    const piece = chunk.subarray(0, left)
    left -= piece.length
    if (state === 'body') handler.data(piece)
    // Copied: it outlives the call.
    else if (state === 'extension') extension.parts.push(Buffer.from(piece))
    if (left === 0) {
      if (state === 'padding') state = 'header'
      else leave()
    }
    return piece.length
  }

  return {
    push(chunk) {
      for (let at = 0; at < chunk.length; ) at += take(chunk.subarray(at))
    },
    finish() {
      if (state === 'over' || (state === 'header' && filled === 0)) return
      if (!begun) throw notTar()
      throw damaged(
        `its end in the middle of a ${state === 'body' ? 'file' : state === 'padding' ? 'member' : 'header'}`,
      )
    },
  }
}

type PaxRecords = Map<string, string>

/** What is read of extended headers. An archive may repeat them for ever with ever new keys: the rest is not kept. */
const KNOWN_RECORDS = new Set([
  'path',
  'linkpath',
  'size',
  'uid',
  'gid',
  'mtime',
  'GNU.sparse.major',
  'GNU.sparse.map',
  'GNU.sparse.name',
])

function memberOf(
  block: Buffer,
  { type, global, next }: { type: string; global: PaxRecords; next: PaxRecords },
): TarMember {
  const kind = KINDS[type]
  if (!kind) throw damaged(`a member of type ${JSON.stringify(type)}`)
  if (['GNU.sparse.major', 'GNU.sparse.map', 'GNU.sparse.name'].some((key) => next.has(key)))
    throw damaged('a sparse file')
  const extended = (key: string): string | undefined => next.get(key) ?? global.get(key)
  const size = paxNumber(extended('size')) ?? readNumber(block.subarray(124, 136))
  const path = extended('path') ?? ustarPath(block)
  const link = extended('linkpath') ?? untilZero(block.subarray(157, 257))
  // Whoever reads archives keeps names; also one that says little can be long.
  const longest = Math.max(path.length, link.length)
  if (longest > LONGEST_NAME) throw damaged(`a name of ${longest} bytes`)
  return {
    path,
    kind,
    // Only files have a body, whatever the size of others says.
    size: kind === 'file' ? size : 0,
    mode: readNumber(block.subarray(100, 108)) & 0o7777,
    uid: paxNumber(extended('uid')) ?? readNumber(block.subarray(108, 116)),
    gid: paxNumber(extended('gid')) ?? readNumber(block.subarray(116, 124)),
    mtime: paxTime(extended('mtime')) ?? readNumber(block.subarray(136, 148)),
    link,
  }
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
    const key = record.slice(0, equals)
    if (KNOWN_RECORDS.has(key)) records.set(key, record.slice(equals + 1))
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

/** Whether the block has the sum that every header says of itself. */
function isHeader(block: Buffer): boolean {
  let sum = 0
  for (let index = 0; index < BLOCK; index++) sum += index >= 148 && index < 156 ? 0x20 : (block[index] ?? 0)
  const text = untilZero(block.subarray(148, 156)).trim()
  return /^[0-7]+$/.test(text) && Number.parseInt(text, 8) === sum
}

function notTar(): RuntimeError {
  return new RuntimeError('bad-archive', 'not a tar archive')
}

function damaged(found: string): RuntimeError {
  return new RuntimeError('bad-archive', `expected a tar archive of an image, found ${found}`)
}
