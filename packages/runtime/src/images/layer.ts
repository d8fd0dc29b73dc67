import { createHash } from 'node:crypto'
import { chmod, lchown, link, lstat, lutimes, mkdir, open, readdir, rm, symlink } from 'node:fs/promises'
import { RuntimeError } from '../runtime.ts'
import { hostPath, memberParts, resolveInside } from './rootfs-path.ts'
import { readTar, type TarEntry } from './tar-reader.ts'

/** What may still be unpacked, of an image with all its layers. */
export interface UnpackBudget {
  bytes: number
  members: number
}

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'

/**
 * Applies a layer, uncompressed, to a root file system: what the layers before it left and this one hides is removed,
 * everything else is added or replaced. Device nodes are left out: a container gets its own. Extended attributes are too.
 * @returns the layer's `sha256:` digest
 */
export async function applyLayer(root: string, layer: AsyncIterable<Buffer>, budget: UnpackBudget): Promise<string> {
  const hash = createHash('sha256')
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const chunk of layer) {
      hash.update(chunk)
      yield chunk
    }
  }
  const bytes = hashed()
  /** Paths that this layer brought: its own whiteouts do not concern them. */
  const own = new Set<string>()
  /** Set at the end, deepest first: writing into a directory changes its time, and its mode may forbid it. */
  const directories = new Map<string, TarEntry>()
  for await (const entry of readTar(bytes)) {
    if (--budget.members < 0) throw new RuntimeError('bad-archive', 'the image has more files than are allowed')
    await applyMember({ root, entry, budget, own, directories })
  }
  // The digest is of everything, the padding behind the last member too.
  for await (const _ of bytes) {
  }
  for (const [path, entry] of [...directories].reverse()) await setAttributes(hostPath(root, path), entry)
  return `sha256:${hash.digest('hex')}`
}

interface MemberContext {
  root: string
  entry: TarEntry
  budget: UnpackBudget
  own: Set<string>
  directories: Map<string, TarEntry>
}

async function applyMember(context: MemberContext): Promise<void> {
  const { root, entry, own, directories } = context
  const parts = memberParts(entry.path)
  const name = parts.at(-1)
  if (name === undefined) {
    if (entry.kind === 'directory') directories.set('', entry)
    return
  }
  const parent = await resolveInside(root, parts.slice(0, -1))
  await makeParents(root, parent)
  if (name === OPAQUE) return hideChildren(root, parent, own)
  if (name.startsWith(WHITEOUT)) return hide(root, [...parent, ...memberParts(name.slice(WHITEOUT.length))], own)
  const target = [...parent, name].join('/')
  const path = hostPath(root, target)
  const present = await lstat(path).catch(() => undefined)
  if (present && !(present.isDirectory() && entry.kind === 'directory')) {
    await rm(path, { recursive: true, force: true })
    directories.delete(target)
  }
  for (let depth = 1; depth <= parts.length; depth++) own.add([...parent, name].slice(0, depth).join('/'))
  switch (entry.kind) {
    case 'directory':
      if (!present?.isDirectory()) await mkdir(path, { mode: 0o755 })
      directories.set(target, entry)
      return
    case 'file':
      await writeFile(path, context)
      return setAttributes(path, entry)
    case 'symlink':
      await symlink(Buffer.from(entry.link, 'latin1'), path)
      return setAttributes(path, entry)
    case 'hardlink':
      return makeHardLink(path, context)
    case 'device':
    case 'fifo':
      return
  }
}

async function writeFile(path: Buffer, { entry, budget }: MemberContext): Promise<void> {
  budget.bytes -= entry.size
  if (budget.bytes < 0) throw new RuntimeError('bad-archive', 'the image is larger than is allowed')
  const file = await open(path, 'wx', 0o600)
  try {
    for await (const chunk of entry.body) await file.writeFile(chunk)
  } finally {
    await file.close()
  }
}

async function makeHardLink(path: Buffer, { root, entry }: MemberContext): Promise<void> {
  const parts = memberParts(entry.link)
  const parent = await resolveInside(root, parts.slice(0, -1))
  const target = hostPath(root, [...parent, parts.at(-1) ?? ''].join('/'))
  const info = await lstat(target).catch(() => undefined)
  if (!info?.isFile() && !info?.isSymbolicLink()) {
    throw new RuntimeError(
      'bad-archive',
      `${JSON.stringify(entry.path)} is a link to ${JSON.stringify(entry.link)}, which is no file of the image`,
    )
  }
  await link(target, path)
}

async function setAttributes(path: Buffer, entry: TarEntry): Promise<void> {
  await lchown(path, entry.uid, entry.gid)
  // Changing the owner clears setuid, so the mode comes after it.
  if (entry.kind !== 'symlink') await chmod(path, entry.mode)
  await lutimes(path, entry.mtime, entry.mtime)
}

async function makeParents(root: string, parts: string[]): Promise<void> {
  for (let depth = 1; depth <= parts.length; depth++) {
    const path = hostPath(root, parts.slice(0, depth).join('/'))
    const info = await lstat(path).catch(() => undefined)
    if (info?.isDirectory()) continue
    if (info) await rm(path, { force: true })
    await mkdir(path, { mode: 0o755 })
  }
}

/** Removes what earlier layers have at a path. */
async function hide(root: string, parts: string[], own: Set<string>): Promise<void> {
  const path = parts.join('/')
  if (parts.length === 0) throw new RuntimeError('bad-archive', 'a whiteout without a name')
  if (!own.has(path)) return rm(hostPath(root, path), { recursive: true, force: true })
  return hideChildren(root, parts, own)
}

async function hideChildren(root: string, parts: string[], own: Set<string>): Promise<void> {
  const directory = hostPath(root, parts.join('/'))
  const info = await lstat(directory).catch(() => undefined)
  if (!info?.isDirectory()) return
  for (const child of await readdir(directory, { encoding: 'buffer' })) {
    await hide(root, [...parts, child.toString('latin1')], own)
  }
}
