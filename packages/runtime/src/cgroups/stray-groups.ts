import { readdir, readFile, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type CgroupTree, findCgroupTree } from './cgroup-tree.ts'

/** Younger ones may be about to be used. */
const YOUNG_MS = 10_000

/**
 * Groups with our name in which nothing is: of state directories whose process was killed, and of whose sandboxes none is
 * left. To take one away harms nobody, since whoever needs it makes it again.
 */
export async function findStrayCgroups(
  tree: CgroupTree | undefined = findCgroupTree(),
  now: number = Date.now(),
): Promise<string[]> {
  const strays: string[] = []
  for (const root of new Set(tree?.controllers.values())) {
    for (const name of await readdir(root).catch(() => [])) {
      const path = join(root, name)
      if (name.startsWith('caisson-') && (await isEmpty(path)) && (await ageOf(path, now)) > YOUNG_MS) strays.push(path)
    }
  }
  return strays
}

/** The kernel refuses where something is in it by now. */
export async function removeStrayCgroup(path: string): Promise<void> {
  await rmdir(path).catch(() => {})
}

async function isEmpty(path: string): Promise<boolean> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => undefined)
  if (!entries || entries.some((entry) => entry.isDirectory())) return false
  return (await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '?')) === ''
}

async function ageOf(path: string, now: number): Promise<number> {
  const found = await stat(path).catch(() => undefined)
  return found ? now - found.ctimeMs : 0
}
