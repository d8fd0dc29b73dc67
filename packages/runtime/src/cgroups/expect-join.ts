/** A process that is about to join a control group need not wait for the kernel then, where it waited for nobody before. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CgroupTree } from './cgroup-tree.ts'

/**
 * The file of a group by which a process of one thread joins it, writing `0`. In version 1 that is the one for threads: one
 * that moves itself takes no lock there (since Linux 5.5), while moving processes takes one that the kernel gives after an
 * RCU grace period, 5 to 20 ms.
 */
export function joinFile(version: CgroupTree['version']): string {
  return version === 1 ? 'tasks' : 'cgroup.procs'
}

/**
 * In version 2 there is no way around that lock; but who takes it within the next grace period does not wait, and prolongs
 * that time for others (`rcu_sync` in kernel/rcu/sync.c). So we take it while there is something else to do, by joining the
 * group that we are in, which moves nothing. One at a time, and once more where it was asked for meanwhile. What fails costs
 * whoever joins its wait, no more.
 */
export function createJoinExpectation(tree: CgroupTree | undefined): () => void {
  if (tree?.version !== 2) return () => {}
  let expected = false
  let taking = false

  async function take(tree: CgroupTree): Promise<void> {
    const file = ownProcsFile(tree, await readFile('/proc/self/cgroup', 'utf8'))
    if (file !== undefined) await writeFile(file, '0', { flag: 'r+' })
  }

  async function takeWhileExpected(tree: CgroupTree): Promise<void> {
    taking = true
    while (expected) {
      expected = false
      await take(tree).catch(() => {})
    }
    taking = false
  }

  return () => {
    expected = true
    if (!taking) void takeWhileExpected(tree)
  }
}

/**
 * The file by which a process joins the group of version 2 that it is in; undefined where the group lies outside of what the
 * process sees.
 * @param memberships `/proc/self/cgroup`, cgroups(7): lines of `ID:CONTROLLERS:/PATH`, in version 2 `0::/PATH`
 */
export function ownProcsFile({ hierarchies: [root] }: CgroupTree, memberships: string): string | undefined {
  const path = memberships
    .split('\n')
    .find((line) => line.startsWith('0::'))
    ?.slice('0::'.length)
  if (root === undefined || path === undefined || path.split('/').includes('..')) return undefined
  return join(root, path, joinFile(2))
}
