/** Files that only their owner may read, in a directory that only their owner may enter. */
import { randomBytes } from 'node:crypto'
import { chmod, lstat, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Makes sure that `directory` exists, is a real directory of this user, and that nobody else may enter it.
 * Throws where it belongs to someone else: keys must not be written where another user could replace them.
 */
export async function ensurePrivateDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const found = await lstat(directory)
  if (!found.isDirectory()) {
    throw new Error(`expected ${directory} to be a directory, found something else: remove it or choose another one`)
  }
  const self = process.getuid?.()
  if (self !== undefined && found.uid !== self) {
    throw new Error(`expected ${directory} to belong to uid ${self}, found uid ${found.uid}: choose another directory`)
  }
  if ((found.mode & 0o077) !== 0) await chmod(directory, 0o700)
}

/** The text of a private file; undefined where there is none. */
export async function readPrivateFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Replaces a file in one step with mode 0600: a reader, or a crash at any moment, finds the old content or the new. */
export async function writePrivateFile(directory: string, name: string, content: string): Promise<void> {
  const temporary = join(directory, `.${name}.${randomBytes(6).toString('hex')}`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, join(directory, name))
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
