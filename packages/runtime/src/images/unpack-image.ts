import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { freeBytes, type StoredImage } from './image-files.ts'
import type { ImageConfig } from './manifest.ts'
import { createUnpacker } from './unpacker.ts'

export interface UnpackLimits {
  /** Bytes that one image may take on the disk when it is unpacked, and its archive. */
  maxBytes: number
}

export interface Unpacking extends AsyncDisposable {
  /** The lowest layer comes first. */
  apply(layer: { file: string; diffId: string }): Promise<void>
  describe(id: string, config: ImageConfig): Omit<StoredImage, 'pulled' | 'blobs'>
}

const MOST_MEMBERS = 2_000_000
// Names, padding and holes in a tar archive take some place of their own.
const ARCHIVE_SLACK = 1024 ** 3

/** Unpacks layers into `rootfs` below `directory`, within what the disk has and an image may take. */
export async function unpackImage(
  directory: string,
  { limits, signal }: { limits: UnpackLimits; signal: AbortSignal | undefined },
): Promise<Unpacking> {
  const root = join(directory, 'rootfs')
  await mkdir(root)
  // mkdir's mode is subject to the umask.
  await chmod(root, 0o755)
  const bytes = Math.min(limits.maxBytes, await freeBytes(directory))
  const unpacker = createUnpacker(root, { bytes, members: MOST_MEMBERS, archiveBytes: bytes + ARCHIVE_SLACK }, signal)
  return {
    apply: ({ file, diffId }) => unpacker.apply({ file, diffId }),
    describe(id, { entrypoint, cmd, env, workingDir, user, createdAt }) {
      return { id, sizeBytes: unpacker.contentBytes(), entrypoint, cmd, env, workingDir, user, createdAt }
    },
    [Symbol.asyncDispose]: () => unpacker[Symbol.asyncDispose](),
  }
}
