import { createHash, type Hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, createReadStream, openSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { addAbortSignal, pipeline, type Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { RuntimeError } from '../runtime-error.ts'
import { noRoom } from './image-files.ts'
import { memberParts } from './rootfs-path.ts'
import { createTarParser } from './tar-parser.ts'
import { writeWhole } from './write-whole.ts'

/** The members of an image archive, laid out as files whose names say nothing. */
export interface ImageArchive {
  /** File with a member's content, and its `sha256:` digest; undefined where there is none of that name. */
  member(name: string): ArchiveMember | undefined
  /** A member that holds JSON. Throws `bad-archive` where it is not there, too long, or no JSON. */
  json(name: string): Promise<unknown>
}

export interface ArchiveMember {
  file: string
  digest: string
  size: number
}

const MOST_MEMBERS = 20_000
const LONGEST_JSON = 8 * 1024 * 1024
const MOST_LINKS = 8
const CHUNK = 256 * 1024
const BLOB = /^blobs\/sha256\/([0-9a-f]{64})$/

/** Lays an archive out below `directory`, from a file or as it comes. Blobs that are named by their digest are checked against it. */
export async function openArchive(
  file: string | Readable,
  directory: string,
  options: { maxBytes: number; freeBytes: number; signal?: AbortSignal | undefined },
): Promise<ImageArchive> {
  const files = new Map<string, ArchiveMember>()
  const links = new Map<string, string>()
  let size = 0
  let writing: { name: string; size: number; path: string; descriptor: number; hash: Hash } | undefined
  const parser = createTarParser({
    begin(member) {
      const name = memberParts(member.path).join('/')
      if (files.size + links.size >= MOST_MEMBERS)
        throw new RuntimeError('bad-archive', `the archive has more than ${MOST_MEMBERS} members`)
      if (member.kind === 'symlink') links.set(name, relativeTo(name, member.link))
      if (member.kind === 'hardlink') links.set(name, memberParts(member.link).join('/'))
      if (member.kind !== 'file') return
      size += member.size
      if (size > options.freeBytes) throw noRoom(size - options.freeBytes)
      if (size > options.maxBytes)
        throw new RuntimeError('bad-archive', `the archive is larger than the ${options.maxBytes} bytes allowed`)
      const path = join(directory, randomBytes(12).toString('hex'))
      writing = { name, size: member.size, path, descriptor: openSync(path, 'wx', 0o600), hash: createHash('sha256') }
    },
    data(chunk) {
      if (!writing) return
      writing.hash.update(chunk)
      writeWhole(writing.descriptor, chunk)
    },
    end() {
      if (!writing) return
      const { name, size, path, descriptor, hash } = writing
      writing = undefined
      closeSync(descriptor)
      const digest = hash.digest('hex')
      const expected = BLOB.exec(name)?.[1]
      if (expected !== undefined && expected !== digest)
        throw new RuntimeError('bad-archive', `the blob ${name} has the digest ${digest}: the archive is damaged`)
      files.set(name, { file: path, digest: `sha256:${digest}`, size })
    },
  })
  // A file gives its next bytes at once; what comes from elsewhere may never.
  if (typeof file !== 'string' && options.signal) addAbortSignal(options.signal, file)
  const source = await decompressed(file)
  try {
    for await (const chunk of source) {
      options.signal?.throwIfAborted()
      parser.push(chunk as Buffer)
    }
    parser.finish()
  } catch (error) {
    throw asArchiveError(error)
  } finally {
    if (writing) closeSync(writing.descriptor)
    source.destroy()
  }

  function find(name: string): ArchiveMember | undefined {
    let current = name
    for (let followed = 0; followed <= MOST_LINKS; followed++) {
      const member = files.get(current)
      if (member) return member
      const next = links.get(current)
      if (next === undefined) return undefined
      current = next
    }
    return undefined
  }

  return {
    member: find,
    async json(name) {
      const member = find(name)
      if (!member) throw new RuntimeError('bad-archive', `the archive has no ${name}`)
      if (member.size > LONGEST_JSON)
        throw new RuntimeError('bad-archive', `${name} has ${member.size} bytes, more than the ${LONGEST_JSON} allowed`)
      try {
        return JSON.parse(await readFile(member.file, 'utf8'))
      } catch (cause) {
        throw new RuntimeError('bad-archive', `${name} is no JSON`, { cause })
      }
    },
  }
}

/** Content without its compression, gzip or zstd, which the first bytes tell. */
export async function decompressed(from: string | Readable): Promise<Readable> {
  const source = typeof from === 'string' ? createReadStream(from, { highWaterMark: CHUNK }) : from
  const compression = typeof from === 'string' ? await compressionOf(from) : compressionIn(await beginningOf(from))
  if (compression === 'none') return source
  const inflate =
    compression === 'gzip' ? createGunzip({ chunkSize: CHUNK }) : createZstdDecompress({ chunkSize: CHUNK })
  pipeline(source, inflate, () => {})
  return inflate
}

/** What the first bytes of a file tell. Archives with frames to skip at their beginning are none that builders make. */
export async function compressionOf(path: string): Promise<'none' | 'gzip' | 'zstd'> {
  await using file = await open(path)
  const magic = Buffer.alloc(4)
  await file.read(magic, 0, 4, 0)
  return compressionIn(magic)
}

/** The first four bytes, which stay in the stream; all there are where it has fewer. */
async function beginningOf(source: Readable): Promise<Buffer> {
  for (;;) {
    const chunk = source.read(4) as Buffer | null
    if (chunk !== null) {
      source.unshift(chunk)
      return Buffer.concat([chunk], 4)
    }
    if (source.readableEnded) return Buffer.alloc(4)
    await once(source, 'readable')
  }
}

function compressionIn(magic: Buffer): 'none' | 'gzip' | 'zstd' {
  if (magic[0] === 0x1f && magic[1] === 0x8b) return 'gzip'
  return magic.readUInt32LE(0) === 0xfd2fb528 ? 'zstd' : 'none'
}

/** What went wrong with the compression, as an error of the archive; everything else as it is. */
export function asArchiveError(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!/^(Z_|ZSTD_)/.test(code)) return error
  return new RuntimeError('bad-archive', 'the archive is damaged: it cannot be decompressed', { cause: error })
}

/** Old archives share layers by links of the form `../<other>/layer.tar`. */
function relativeTo(name: string, target: string): string {
  const parts = name.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '..' && parts.pop() === undefined)
      throw new RuntimeError('bad-archive', `the link ${JSON.stringify(name)} leads out of the archive`)
    if (part !== '' && part !== '.' && part !== '..') parts.push(part)
  }
  return parts.join('/')
}
