/**
 * Directories of this machine that sandboxes may have too. Such a sandbox can put a link in the place of anything below it at
 * any moment, also between a check and the use of what was checked: so the way goes from one open directory to the next.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { CliError } from './cli-error.ts'

/** Not among Node's constants: a handle that names a file, a link too, without opening it. */
const O_PATH = 0x200000
export const DIRECTORY = constants.O_DIRECTORY | constants.O_NOFOLLOW
/** As many links as the kernel follows on one path. */
const LINK_LIMIT = 40

/** A part of an open directory, by a path for which nobody can put a link: only `name` itself may be one. */
export function below({ fd }: FileHandle, name = ''): string {
  return join(`/proc/self/fd/${fd}`, name)
}

/**
 * Opens a directory. Links on the way are followed where nobody but this user, root, or whose directory they lie in has put
 * them there.
 *
 * @param path absolute
 * @param shared the directories that sandboxes have, by their real paths: no link in or below one is followed
 * @throws CliError where it is no directory, or a link leads to it that is not followed; what the system says of others
 */
export async function openDirectory(path: string, shared: readonly string[]): Promise<FileHandle> {
  let here = await open('/', O_PATH | DIRECTORY)
  const pending = components(path)
  let links = 0
  try {
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      const next = await open(below(here) + `/${name}`, O_PATH | constants.O_NOFOLLOW)
      const found = await next.stat()
      if (!found.isSymbolicLink()) {
        await here.close()
        here = next
        continue
      }
      await next.close()
      await requireOwn(here, { name, uid: found.uid, shared })
      if (++links > LINK_LIMIT) throw new CliError('usage', `${path} leads through too many links`)
      const target = await readlink(below(here, name))
      pending.unshift(...components(target))
      if (!target.startsWith('/')) continue
      await here.close()
      here = await open('/', O_PATH | DIRECTORY)
    }
    if (!(await here.stat()).isDirectory()) throw new CliError('usage', `${path} is no directory: name another place`)
    return here
  } catch (error) {
    await here.close()
    throw error
  }
}

function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

async function requireOwn(
  directory: FileHandle,
  { name, uid, shared }: { name: string; uid: number; shared: readonly string[] },
): Promise<void> {
  const path = await readlink(below(directory))
  const link = join(path, name)
  const next = 'look where it leads, and name that'
  const sharing = shared.find((one) => isWithin(path, one))
  if (sharing !== undefined)
    throw new CliError('usage', `${link} is a link that a sandbox may have put there, which has ${sharing}: ${next}`)
  if (![0, process.geteuid?.(), (await directory.stat()).uid].includes(uid))
    throw new CliError('usage', `${link} is a link that another user has put there: ${next}`)
}

/** Whether a path is another one or below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`)
}
