/** What a cluster may leave on the machine when it is gone, and of Pods that are gone while it runs: nothing. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
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

/** Network namespaces that a cluster which runs makes ahead: nobody has them yet. */
const NAMESPACES_AHEAD = 3

/**
 * What a cluster that runs, and has come to rest, has of Pods that are not there, or has begun and given up: paths, none of
 * which should be. What it makes ahead for Pods to come is not meant.
 *
 * @param living uids of the Pods that are there
 */
export function strays(dataDirectory: string, living: ReadonlySet<string>): string[] {
  const [runtime, kubelet] = [join(dataDirectory, 'runtime'), join(dataDirectory, 'kubelet')]
  const places = ['containers', 'sandboxes', 'overlay'].map((name) => join(runtime, name))
  const ofNobody = (name: string): boolean => !living.has(UID.exec(name)?.[0] ?? '') && !name.endsWith('.blank')
  return [
    ...[...places, ...['pods', 'secrets', 'logs'].map((name) => join(kubelet, name))].flatMap((place) =>
      below(place, ofNobody),
    ),
    ...groupsOf(runtime).flatMap((group) => below(group, (name) => isDirectory(join(group, name)) && ofNobody(name))),
    ...[runtime, join(runtime, 'images')].flatMap((place) => below(place, (name) => name.startsWith('.'))),
    ...strayNamespaces(runtime, ofNobody),
  ]
}

const UID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/

function below(directory: string, isStray: (name: string) => boolean): string[] {
  return listed(directory)
    .filter(isStray)
    .map((name) => join(directory, name))
}

function strayNamespaces(runtime: string, ofNobody: (sandboxId: string) => boolean): string[] {
  const prefix = `${cgroupName(runtime)}-`
  const owners = new Map(
    listed('/run/netns')
      .filter((name) => name.startsWith(prefix))
      .map((name) => [
        join('/run/netns', name),
        content(join(runtime, 'network/addresses', String(Number.parseInt(name.slice(prefix.length), 16)))),
      ]),
  )
  const named = (wanted: (owner: string | undefined) => boolean): string[] =>
    [...owners].filter(([, owner]) => wanted(owner)).map(([path]) => path)
  return [
    ...named((owner) => owner === undefined || (owner !== '' && ofNobody(owner))),
    ...named((owner) => owner === '').slice(NAMESPACES_AHEAD),
  ]
}

/** Undefined where there is no such file. */
function content(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
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
