import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { RuntimeError } from '../runtime.ts'
import { memberParts } from './rootfs-path.ts'
import { readTar } from './tar-reader.ts'

/** The members of an image archive, laid out as files whose names say nothing. */
export interface ImageArchive {
  /** File with a member's content; undefined where there is none of that name. */
  file(name: string): string | undefined
  /** A member that holds JSON. Throws `bad-archive` where it is not there, too long, or no JSON. */
  json(name: string): Promise<unknown>
}

const MOST_MEMBERS = 20_000
const LONGEST_JSON = 8 * 1024 * 1024
const MOST_LINKS = 8
const BLOB = /^blobs\/sha256\/([0-9a-f]{64})$/

/** Lays an archive out below `directory`. Blobs that are named by their digest are checked against it. */
export async function openArchive(
  file: string,
  directory: string,
  options: { maxBytes: number; signal?: AbortSignal | undefined },
): Promise<ImageArchive> {
  const files = new Map<string, string>()
  const links = new Map<string, string>()
  let left = options.maxBytes
  const source = await decompressed(file)
  try {
    for await (const entry of readTar(source)) {
      options.signal?.throwIfAborted()
      const name = memberParts(entry.path).join('/')
      if (files.size + links.size >= MOST_MEMBERS)
        throw new RuntimeError('bad-archive', `the archive has more than ${MOST_MEMBERS} members`)
      if (entry.kind === 'symlink') links.set(name, relativeTo(name, entry.link))
      if (entry.kind === 'hardlink') links.set(name, memberParts(entry.link).join('/'))
      if (entry.kind !== 'file') continue
      left -= entry.size
      if (left < 0)
        throw new RuntimeError('bad-archive', `the archive is larger than the ${options.maxBytes} bytes allowed`)
      const path = join(directory, randomBytes(12).toString('hex'))
      const digest = await writeMember(path, entry.body)
      const expected = BLOB.exec(name)?.[1]
      if (expected !== undefined && expected !== digest)
        throw new RuntimeError('bad-archive', `the blob ${name} has the digest ${digest}: the archive is damaged`)
      files.set(name, path)
    }
  } catch (error) {
    throw asArchiveError(error)
  } finally {
    source.destroy()
  }

  function find(name: string): string | undefined {
    let current = name
    for (let followed = 0; followed <= MOST_LINKS; followed++) {
      const path = files.get(current)
      if (path !== undefined) return path
      const next = links.get(current)
      if (next === undefined) return undefined
      current = next
    }
    return undefined
  }

  return {
    file: find,
    async json(name) {
      const path = find(name)
      if (path === undefined) throw new RuntimeError('bad-archive', `the archive has no ${name}`)
      const bytes = await readFile(path)
      if (bytes.length > LONGEST_JSON)
        throw new RuntimeError(
          'bad-archive',
          `${name} has ${bytes.length} bytes, more than the ${LONGEST_JSON} allowed`,
        )
      try {
        return JSON.parse(bytes.toString('utf8'))
      } catch (cause) {
        throw new RuntimeError('bad-archive', `${name} is no JSON`, { cause })
      }
    },
  }
}

/** A file's content without its compression, gzip or zstd, which the first bytes tell. */
export async function decompressed(path: string): Promise<Readable> {
  const file = await open(path)
  const magic = Buffer.alloc(4)
  try {
    await file.read(magic, 0, 4, 0)
  } finally {
    await file.close()
  }
  const source = createReadStream(path, { highWaterMark: 256 * 1024 })
  const isGzip = magic[0] === 0x1f && magic[1] === 0x8b
  const isZstd = magic.readUInt32LE(0) === 0xfd2fb528
  if (!isGzip && !isZstd) return source
  const inflate = isGzip ? createGunzip() : createZstdDecompress()
  pipeline(source, inflate, () => {})
  return inflate
}

/** What went wrong with the compression, as an error of the archive; everything else as it is. */
export function asArchiveError(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!/^(Z_|ZSTD_)/.test(code)) return error
  return new RuntimeError('bad-archive', 'the archive is damaged: it cannot be decompressed', { cause: error })
}

async function writeMember(path: string, body: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256')
  const target = await open(path, 'wx', 0o600)
  try {
    for await (const chunk of body) {
      hash.update(chunk)
      await target.writeFile(chunk)
    }
  } finally {
    await target.close()
  }
  return hash.digest('hex')
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
