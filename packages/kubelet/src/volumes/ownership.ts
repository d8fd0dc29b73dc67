/** fsGroup: makes a volume's files belong to a group that all containers of the Pod are in. */
import { constants } from 'node:fs'
import { type FileHandle, lchown, open, readdir } from 'node:fs/promises'
import { noSuchOwner, own } from './own.ts'
import { VolumeError } from './volume-error.ts'

const O_PATH = 0x200000
const SETGID = 0o2000
/** Each level is an open directory; what is nested deeper was made to exhaust them. */
const DEPTH_LIMIT = 500

export interface OwnershipOptions {
  group: number
  readOnly: boolean
  /** Leave everything alone where the top already is as it should be. */
  onlyOnMismatch: boolean
}

/** Another Pod may be using the volume meanwhile, so this goes by open directories and follows no link. */
export async function giveToGroup(directory: string, options: OwnershipOptions): Promise<void> {
  const root = await open(directory, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    const { gid, mode } = await root.stat()
    const wanted = mode | groupBits(true, options.readOnly)
    if (options.onlyOnMismatch && gid === options.group && mode === wanted) return
    await change(root, options, 0)
  } finally {
    await root.close()
  }
}

async function change(handle: FileHandle, options: OwnershipOptions, depth: number): Promise<void> {
  if (depth > DEPTH_LIMIT) throw new VolumeError(`the volume's directories are nested deeper than ${DEPTH_LIMIT}`)
  const self = `/proc/self/fd/${handle.fd}`
  const { uid, mode } = await handle.stat()
  // Children first, as kubelet does: an agent that is killed half-way finds the top unchanged and begins again.
  for (const name of await readdir(self)) {
    const child = await open(`${self}/${name}`, O_PATH | constants.O_NOFOLLOW).catch(ignoreGone)
    if (!child) continue
    try {
      const found = await child.stat()
      if (found.isDirectory()) await change(child, options, depth + 1)
      else if (found.isSymbolicLink()) await giveLink(`${self}/${name}`, found.uid, options.group)
      else await set(`/proc/self/fd/${child.fd}`, { uid: found.uid, mode: found.mode, isDirectory: false }, options)
    } finally {
      await child.close()
    }
  }
  await set(self, { uid, mode, isDirectory: true }, options)
}

async function set(
  path: string,
  { uid, mode, isDirectory }: { uid: number; mode: number; isDirectory: boolean },
  { group, readOnly }: OwnershipOptions,
): Promise<void> {
  await own(path, { uid, group, mode: (mode | groupBits(isDirectory, readOnly)) & 0o7777 })
}

function groupBits(isDirectory: boolean, readOnly: boolean): number {
  const access = readOnly ? 0o440 : 0o660
  // New files in a directory are to belong to the group as well.
  return isDirectory ? access | 0o110 | SETGID : access
}

/** Nobody asks who owns a link. */
async function giveLink(path: string, uid: number, group: number): Promise<void> {
  await lchown(path, uid, group).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') noSuchOwner(error)
  })
}

function ignoreGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
