/** What `statx` and `getdents64` tell, as the kernel writes it down: the same on all 64-bit machines. */
import { constants } from 'node:fs'

/** Bytes of a `struct statx`. */
export const STATUS_SIZE = 256
/** All that is asked for: STATX_BASIC_STATS. */
export const STATUS_MASK = 0x7ff

const TIME_SIZE = 16
const NAME_OFFSET = 19

export interface FileStatus {
  type: number
  /** Without the type. */
  permissions: number
  uid: number
  gid: number
  /** Names that it has. */
  links: number
  size: number
  /** That it has on the disk. */
  bytes: number
  /** The number of what a device node leads to, as `mknod` takes it. */
  device: number
  /** Of the file system that it is on. */
  fileSystem: string
  /** Among all files of the machine. */
  identity: string
  /** Last access and last change of content, as `utimensat` takes them. */
  times: Buffer
}

export function readStatus(statx: Buffer): FileStatus {
  const mode = statx.readUInt16LE(28)
  const fileSystem = `${statx.readUInt32LE(136)}:${statx.readUInt32LE(140)}`
  const [major, minor] = [statx.readUInt32LE(128), statx.readUInt32LE(132)]
  return {
    type: mode & constants.S_IFMT,
    permissions: mode & 0o7777,
    uid: statx.readUInt32LE(20),
    gid: statx.readUInt32LE(24),
    links: statx.readUInt32LE(16),
    size: Number(statx.readBigUInt64LE(40)),
    bytes: Number(statx.readBigUInt64LE(48)) * 512,
    device: (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12),
    fileSystem,
    identity: `${fileSystem}:${statx.readBigUInt64LE(32)}`,
    times: Buffer.concat([statx.subarray(64, 64 + TIME_SIZE), statx.subarray(112, 112 + TIME_SIZE)]),
  }
}

/** Names of a directory's entries but for itself and the one above, each with the byte that ends it. */
export function readEntries(dirents: Buffer): Buffer[] {
  const names: Buffer[] = []
  for (let at = 0; at < dirents.length; at += dirents.readUInt16LE(at + 16)) {
    const begin = at + NAME_OFFSET
    const name = dirents.subarray(begin, dirents.indexOf(0, begin) + 1)
    const isDots = name[0] === 0x2e && (name.length === 2 || (name.length === 3 && name[1] === 0x2e))
    if (!isDots) names.push(Buffer.from(name))
  }
  return names
}
