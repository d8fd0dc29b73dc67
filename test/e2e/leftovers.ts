/** What a cluster may leave on the machine when it is gone: nothing. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findCgroupTree } from '../../packages/runtime/src/cgroups/cgroup-tree.ts'
import { cgroupName } from '../../packages/runtime/src/cgroups/sandbox-cgroups.ts'

export interface Leftovers {
  /** Command lines that name the directory. */
  processes: string[]
  mounts: string[]
  /** Names of network namespaces. */
  namespaces: string[]
  /** Of the runtime's state. */
  containers: string[]
  /** Control groups of its sandboxes. */
  groups: string[]
}

export function leftovers(dataDirectory: string): Leftovers {
  const runtime = join(dataDirectory, 'runtime')
  return {
    processes: processesOf(dataDirectory),
    mounts: readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((path) => path.startsWith(`${dataDirectory}/`)),
    // The same tag names its control groups.
    namespaces: listed('/run/netns').filter((name) => name.startsWith(`${cgroupName(runtime)}-`)),
    groups: groupsOf(runtime),
    containers: [...listed(join(runtime, 'containers')), ...listed(join(runtime, 'sandboxes'))],
  }
}

function groupsOf(stateDirectory: string): string[] {
  const roots = new Set(findCgroupTree()?.controllers.values())
  return [...roots].map((root) => join(root, cgroupName(stateDirectory))).filter((path) => existsSync(path))
}

/** Command lines of processes that were started for the directory; the monitor's names it in its environment only. */
export function processesOf(dataDirectory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((pid) => commandLine(pid))
    .filter((line) => line.includes(dataDirectory))
}

/** Words with spaces between; empty where there is no such process. */
export function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}

function listed(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : []
}
