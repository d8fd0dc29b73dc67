/** A process that is about to join a control group need not wait for the kernel then, where it waited for nobody before. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CgroupTree, CONTROLLERS } from './cgroup-tree.ts'

/**
 * Moving a process takes a lock that the kernel gives after an RCU grace period, 5 to 15 ms; who takes it within the next
 * one, about as long, does not wait and prolongs that time for others (`rcu_sync` in kernel/rcu/sync.c). So we take it while
 * there is something else to do, by joining the group that we are in, which moves nothing. One at a time, and once more where
 * it was asked for meanwhile. What fails costs whoever joins its wait, no more.
 */
export function createJoinExpectation(tree: CgroupTree | undefined): () => void {
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
    if (tree && !taking) void takeWhileExpected(tree)
  }
}

/**
 * The file by which a process joins the group that it is in, in the first hierarchy of the tree; undefined where the group
 * lies outside of what the process sees.
 * @param memberships `/proc/self/cgroup`, cgroups(7): lines of `ID:CONTROLLERS:/PATH`, in version 2 `0::/PATH`
 */
export function ownProcsFile({ version, controllers }: CgroupTree, memberships: string): string | undefined {
  const controller = CONTROLLERS.find((each) => controllers.has(each))
  const root = controller && controllers.get(controller)
  if (root === undefined) return undefined
  const paths = memberships.split('\n').flatMap((line) => {
    const [, names = '', ...path] = line.split(':')
    const isIt = version === 2 ? line.startsWith('0::') : names.split(',').includes(controller ?? '')
    return isIt ? [path.join(':')] : []
  })
  const [path] = paths
  return path === undefined || path.split('/').includes('..') ? undefined : join(root, path, 'cgroup.procs')
}
