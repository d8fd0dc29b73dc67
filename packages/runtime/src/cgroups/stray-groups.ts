import { readdir, readFile, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ownedTags } from '../network/network-register.ts'
import { type CgroupTree, findCgroupTree } from './cgroup-tree.ts'

const PREFIX = 'caisson-'

/** Younger ones may be about to be used. */
const YOUNG_MS = 10_000

/**
 * Groups with our name in which nothing is, nor in what is below them, in any hierarchy: of state directories whose process
 * was killed, or that were deleted. To take one away harms nobody, since whoever needs it makes it again.
 */
export async function findStrayCgroups(
  tree: CgroupTree | undefined = findCgroupTree(),
  now: number = Date.now(),
): Promise<string[]> {
  // One that runs no sandbox at the moment keeps its groups for the next.
  const owned = await ownedTags()
  const byName = new Map<string, string[]>()
  for (const root of tree?.hierarchies ?? []) {
    for (const name of await readdir(root).catch(() => [])) {
      if (name.startsWith(PREFIX) && !owned.has(name.slice(PREFIX.length)))
        byName.set(name, [...(byName.get(name) ?? []), join(root, name)])
    }
  }
  const strays: string[] = []
  for (const paths of byName.values()) {
    const groups = (await Promise.all(paths.map(groupsIn))).flat()
    const idle = await Promise.all(
      groups.map(async (path) => (await isEmpty(path)) && (await ageOf(path, now)) > YOUNG_MS),
    )
    if (idle.every(Boolean)) strays.push(...paths)
  }
  return strays
}

/** With what is below it. The kernel refuses where something is in it by now. */
export async function removeStrayCgroup(path: string): Promise<void> {
  for (const group of await groupsIn(path)) await rmdir(group).catch(() => {})
}

/** The group and those below it, the innermost first. */
async function groupsIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
  const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => groupsIn(join(path, name)))
  return [...(await Promise.all(below)).flat(), path]
}

async function isEmpty(path: string): Promise<boolean> {
  return (await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '?')) === ''
}

async function ageOf(path: string, now: number): Promise<number> {
  const found = await stat(path).catch(() => undefined)
  return found ? now - found.ctimeMs : 0
}
