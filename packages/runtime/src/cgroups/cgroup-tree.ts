/** Where this machine's control groups are, in either of their two versions. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const CONTROLLERS = ['memory', 'cpu', 'pids', 'cpuacct'] as const
export type Controller = (typeof CONTROLLERS)[number]

export interface CgroupTree {
  version: 1 | 2
  /** Root directory of each controller that can be used; in version 2 they share one. */
  controllers: ReadonlyMap<Controller, string>
  /** Root directory of every hierarchy, those of controllers that only OCI runtimes use included. */
  hierarchies: readonly string[]
}

/**
 * Reads `/proc/self/mountinfo`. Version 1 wins where it has the memory controller: on a machine with both, each controller
 * belongs to one of them. Undefined where there are none.
 */
export function findCgroupTree(mountInfo = readFileSync('/proc/self/mountinfo', 'utf8')): CgroupTree | undefined {
  const mounts = mountInfo.split('\n').flatMap(parseMount)
  const first = new Map<Controller, string>()
  for (const { type, path, options } of mounts) {
    if (type !== 'cgroup') continue
    for (const controller of CONTROLLERS) if (options.includes(controller)) first.set(controller, path)
  }
  if (first.has('memory')) {
    // Beside them there may be one of version 2 without controllers, in which runc makes groups too.
    const hierarchies = mounts.filter(({ type }) => type.startsWith('cgroup')).map(({ path }) => path)
    return { version: 1, controllers: first, hierarchies }
  }
  const unified = mounts.find(({ type }) => type === 'cgroup2')?.path
  const file = unified === undefined ? '' : join(unified, 'cgroup.controllers')
  const listed = existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ') : []
  const second = new Map(CONTROLLERS.filter((each) => listed.includes(each)).map((each) => [each, unified ?? '']))
  if (unified === undefined || second.size === 0) return undefined
  return { version: 2, controllers: second, hierarchies: [unified] }
}

interface MountLine {
  type: string
  path: string
  /** Of the file system: the controllers, in version 1. */
  options: string[]
}

/** proc(5): `36 35 98:0 ROOT PATH OPTIONS TAGS… - TYPE SOURCE SUPEROPTIONS`. */
function parseMount(line: string): MountLine[] {
  const [mount = '', system = ''] = line.split(' - ')
  const [, , , root, path] = mount.split(' ')
  const [type, , options = ''] = system.split(' ')
  // A part of a hierarchy, mounted somewhere, is not where groups are made.
  return type !== undefined && path !== undefined && root === '/' ? [{ type, path, options: options.split(',') }] : []
}
