/**
 * Where a copy out of a sandbox goes. Nothing here goes by path but from one open directory to the next, and what was
 * received lies where no sandbox writes until it is moved to its place.
 */
import { type FileHandle, lstat, mkdtemp, open, readdir, readlink, rename, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CliError } from './cli-error.ts'
import { below, DIRECTORY, isWithin, openDirectory } from './open-directory.ts'

export interface Destination extends AsyncDisposable {
  directory: FileHandle
  /** Undefined where what comes keeps its own, in a directory that is there. */
  name: string | undefined
}

/**
 * Like `cp`: a directory that is there, or a name in one. Links on the way are followed where nobody but this user, root, or
 * whose directory they lie in has put them there.
 *
 * @param to absolute
 * @param shared the directories that sandboxes have, by their real paths: no link in or below one is followed
 * @throws CliError where there is no such directory, or a link leads to it that is not followed
 */
export async function openDestination(to: string, shared: readonly string[]): Promise<Destination> {
  const place = dirname(to)
  const parent = await openDirectory(place, shared).catch((error: unknown) => refused(error, place))
  const dispose = async (): Promise<void> => parent.close()
  const isDirectory = (await stat(below(parent, basename(to))).catch(() => undefined))?.isDirectory()
  if (!isDirectory) return { directory: parent, name: basename(to), [Symbol.asyncDispose]: dispose }
  await parent.close()
  const directory = await openDirectory(to, shared).catch((error: unknown) => refused(error, to))
  return { directory, name: undefined, [Symbol.asyncDispose]: () => directory.close() }
}

function refused(error: unknown, place: string): never {
  if (error instanceof CliError || !(error instanceof Error)) throw error
  const { code } = error as NodeJS.ErrnoException
  throw new CliError('failed', `nothing can be written to ${place} (${code}): name another place`, { cause: error })
}

/** A directory of this user's alone, for the time that it is used; goes with all that is in it. */
export interface ReceivingDirectory extends AsyncDisposable {
  handle: FileHandle
}

/**
 * Makes one in the destination, so that what is received can be moved, or beside the topmost directory of a sandbox that
 * the destination is in.
 *
 * @throws CliError where this user may not write there, or a sandbox has all directories
 */
export async function makeReceiving(
  { directory }: Destination,
  shared: readonly string[],
): Promise<ReceivingDirectory> {
  const place = unshared(await readlink(below(directory)), shared)
  await using parent = await openDirectory(place, shared).catch((error: unknown) => refused(error, place))
  const made = await mkdtemp(below(parent, '.caisson-cp-')).catch((error: unknown) => refused(error, place))
  const handle = await open(made, DIRECTORY)
  const { uid, mode } = await handle.stat()
  if (uid !== process.geteuid?.() || mode & 0o077) {
    await handle.close()
    throw new CliError('failed', `somebody else changes what is in ${place}: name another place`)
  }
  const path = join(place, basename(made))
  return {
    handle,
    async [Symbol.asyncDispose]() {
      const isEmpty = (await readdir(below(handle))).length === 0
      await handle.close()
      if (isEmpty) return await rmdir(path)
      // Whoever sent it may have nested it deeper than a path is long.
      const { removeDeep } = await import('@caisson/runtime')
      await removeDeep(path)
    },
  }
}

function unshared(path: string, shared: readonly string[]): string {
  const sharing = shared.find((one) => isWithin(path, one))
  if (sharing === undefined) return path
  if (sharing === '/')
    throw new CliError('usage', 'a sandbox has all directories of this machine: copy to standard output')
  return unshared(dirname(sharing), shared)
}

/**
 * Moves a file or tree. Like `cp -r`: what is in a directory that is there already stays beside what comes, and no link in
 * the place of one is followed.
 *
 * @param from below an open directory, as `to`
 * @param shown what `to` is to its user
 * @throws CliError where one is a directory and the other is not, or they are not on one file system
 */
export async function moveTree(from: string, to: string, shown: string): Promise<void> {
  const found = await lstat(from)
  const present = await lstat(to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (present && found.isDirectory() !== present.isDirectory())
    throw new CliError('usage', `${shown} is there already, and is ${present.isDirectory() ? 'a' : 'no'} directory`)
  if (!present?.isDirectory()) return await rename(from, to).catch((error: unknown) => notMoved(error, shown))
  await using source = await open(from, DIRECTORY)
  await using target = await open(to, DIRECTORY).catch((error: unknown) => notMoved(error, shown))
  for (const name of await readdir(below(source)))
    await moveTree(below(source, name), below(target, name), join(shown, name))
}

function notMoved(error: unknown, shown: string): never {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  if (code === 'EXDEV')
    throw new CliError(
      'failed',
      `${shown} is on a file system of its own: copy to another place, and move it from there`,
    )
  if (code === 'ELOOP' || code === 'ENOTDIR' || code === 'EISDIR' || code === 'ENOENT')
    throw new CliError('failed', `somebody else changes what is at ${shown}: name another place`)
  throw error
}
