/** What came out of a sandbox, before it lies among the user's own files. */
import { chmod, lstat, readdir, readlink, rm } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { CliError } from './cli-error.ts'

/** Set-user-ID, set-group-ID and the sticky bit. */
const SPECIAL_BITS = 0o7000

/**
 * Takes away what nobody copies a file for: devices, FIFOs and sockets, links that lead out of the tree (whoever follows
 * one reads or writes elsewhere), and the bits that make a program run as its owner. Nothing else may write to the tree
 * meanwhile. Returns what was taken away, by path below the directory of `root`.
 *
 * @throws CliError where it is nested deeper than a path is long
 */
export async function disarm(root: string): Promise<string[]> {
  const removed: string[] = []
  async function visit(path: string): Promise<void> {
    const info = await lstat(path)
    if (info.isDirectory()) {
      if (info.mode & SPECIAL_BITS) await chmod(path, info.mode & 0o777)
      for (const name of await readdir(path)) await visit(join(path, name))
    } else if (info.isFile()) {
      if (info.mode & SPECIAL_BITS) await chmod(path, info.mode & 0o777)
    } else if (!info.isSymbolicLink() || leadsOut(path, await readlink(path))) {
      await rm(path)
      removed.push(relative(dirname(root), path))
    }
  }
  function leadsOut(path: string, target: string): boolean {
    if (target.startsWith('/')) return true
    // Behind a name that may be a link itself, `..` leads nobody knows where.
    const parts = target.split('/')
    const name = parts.findIndex((part) => !['', '.', '..'].includes(part))
    if (name >= 0 && parts.includes('..', name)) return true
    // The rest by its letters: a part of the way that is a link is judged in its own turn.
    const found = resolve(dirname(path), target)
    return found !== root && !found.startsWith(`${root}/`)
  }
  try {
    await visit(root)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENAMETOOLONG') throw cause
    const next = 'copy a part of it, or to standard output'
    throw new CliError('failed', `${basename(root)} is nested too deep to be looked at: ${next}`, { cause })
  }
  return removed
}
