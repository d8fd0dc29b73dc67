/** One control group for each sandbox: what bounds it, and where its use is read. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rmdir, stat, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { emptyWhereMissing } from '../empty-where-missing.ts'
import { RuntimeError } from '../runtime-error.ts'
import {
  type CgroupFile,
  cgroupFiles,
  parseUsage,
  type ResourceLimits,
  type ResourceUsage,
  USAGE_FILES,
  weightOfAll,
} from './cgroup-files.ts'
import type { CgroupTree, Controller } from './cgroup-tree.ts'
import { createJoinExpectation, joinFile } from './expect-join.ts'

export interface SandboxCgroup {
  /** Files that a process of one thread writes `0` to, to be in the group with all that it starts. */
  joins: string[]
  /** File that counts who was killed for want of memory; undefined where memory is not counted. */
  oomFile: string | undefined
}

export interface SandboxCgroups {
  /** What can be bounded here; empty where the machine has no control groups. */
  controllers: ReadonlySet<Controller>
  /**
   * Throws a `RuntimeError` where a limit cannot be enforced: a sandbox without it would be another one than was asked for.
   * @param apart whether its containers get groups of their own within it, by the OCI runtime
   */
  create(sandboxId: string, limits: ResourceLimits, apart?: boolean): Promise<SandboxCgroup>
  /** The same, of a group that was made with all that is in it under another id. */
  adopt(sandboxId: string, from: string, limits: ResourceLimits): Promise<SandboxCgroup>
  /**
   * Other limits for one that is there. Rejects where it uses more memory than it may from now on, before anything of it is
   * changed.
   */
  hold(sandboxId: string, limits: ResourceLimits): Promise<void>
  /**
   * The group of a container where the OCI runtime makes it, from the root of each hierarchy: within its sandbox's, so that
   * the bounds of that hold for all of them together.
   */
  containerPath(sandboxId: string, containerId: string): string
  /** As `hold`, for such a group. */
  holdContainer(sandboxId: string, containerId: string, limits: ResourceLimits): Promise<void>
  /** Says that a process will join a group some milliseconds from now, so that it does not wait for the kernel then. */
  expectJoin(): void
  /** Of a sandbox whose group was made; undefined where there is none. */
  get(sandboxId: string): Promise<SandboxCgroup | undefined>
  /** The file that counts in the group of such a container. */
  oomFileOf(sandboxId: string, containerId: string): string | undefined
  usage(sandboxId: string): Promise<ResourceUsage | undefined>
  /** Kills what is left in it. No error where there is none. */
  remove(sandboxId: string): Promise<void>
  /** Takes away the groups of sandboxes that are no more. `onError`: told of those that stay. */
  recover(known: ReadonlySet<string>, onError: (error: unknown, where: string) => void): Promise<void>
  /** Leaves nothing behind where no sandbox is left. */
  close(): Promise<void>
}

/** A file of a group. */
type CgroupPlace = Pick<CgroupFile, 'controller' | 'file'>

/** A process that was killed leaves its group when the kernel has taken it apart, of which nothing tells. */
const LEAVING_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000]

/** The group of all sandboxes of one state directory, unique on this machine. */
export function cgroupName(stateDirectory: string): string {
  return `caisson-${createHash('sha256').update(stateDirectory).digest('hex').slice(0, 6)}`
}

/** @param name of the group that holds all sandboxes, see `cgroupName` */
export function openSandboxCgroups(tree: CgroupTree | undefined, name: string): SandboxCgroups {
  const parents = new Map([...(tree?.controllers ?? [])].map(([controller, root]) => [controller, join(root, name)]))
  const version = tree?.version ?? 2
  const roots = new Set(parents.values())
  // An OCI runtime makes groups in all hierarchies, and takes away the innermost alone.
  const everywhere = (tree?.hierarchies ?? []).map((root) => join(root, name))
  // A sandbox without groups within it is one thing: what is left of one that lost a part of itself is of no use.
  const ofOnePiece: CgroupFile[] =
    version === 2 && parents.has('memory') ? [{ controller: 'memory', file: 'memory.oom.group', value: '1' }] : []
  const expectJoin = createJoinExpectation(tree)
  let made: Promise<void> | undefined

  /** With the first sandbox, so that a machine that runs none has no trace of us. */
  function parentsMade(): Promise<void> {
    made ??= makeParents().catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  }

  async function makeParents(): Promise<void> {
    for (const root of roots) {
      await makeDirectory(root)
      if (version === 2) await delegate(root, [...parents.keys()])
    }
    const cpu = parents.get('cpu')
    const { file, value } = weightOfAll(version, availableParallelism())
    if (cpu !== undefined) await writeFile(join(cpu, file), value)
  }

  const directories = (id: string): string[] => [...roots].map((root) => join(root, id))
  const pathOf = (id: string, { controller, file }: CgroupPlace): string | undefined => {
    const parent = parents.get(controller)
    return parent === undefined ? undefined : join(parent, id, file)
  }

  function groupOf(id: string): SandboxCgroup {
    return {
      joins: directories(id).map((each) => join(each, joinFile(version))),
      oomFile: pathOf(id, USAGE_FILES[version].oom),
    }
  }

  async function remove(id: string): Promise<void> {
    await Promise.all(everywhere.map((root) => removeGroup(join(root, id))))
  }

  const containerPath = (sandboxId: string, containerId: string): string => join('/', name, sandboxId, containerId)

  function filesFor(limits: ResourceLimits): CgroupFile[] {
    const files = cgroupFiles(version, limits)
    const missing = files.find(({ controller, file }) => !parents.has(controller) && !isOnlyAWeight(file))
    if (!missing) return files
    throw new RuntimeError(
      'failed',
      `this machine cannot bound ${missing.controller}: its control groups have no such controller. Remove the limit, or run on a machine that has one`,
    )
  }

  async function hold(id: string, limits: ResourceLimits): Promise<void> {
    const at = (place: CgroupPlace): string | undefined => pathOf(id, place)
    const files = filesFor(limits)
    const { memoryBytes } = limits
    const { memory, memoryStat } = USAGE_FILES[version]
    const [current, stat] = await Promise.all([readText(at(memory)), readText(at(memoryStat))])
    const used = parseUsage(version, { cpu: '', memory: current, memoryStat: stat, pids: '' }).workingSetBytes
    if (memoryBytes !== undefined && used >= memoryBytes) {
      // In kubelet's words.
      throw new RuntimeError('failed', `attempting to set memory limit (${memoryBytes}) below current usage (${used})`)
    }
    for (const each of files) {
      const path = at(each)
      if (path !== undefined) await writeFile(path, each.value)
    }
  }

  async function create(
    id: string,
    files: readonly CgroupFile[],
    make: () => Promise<unknown>,
  ): Promise<SandboxCgroup> {
    if (parents.size === 0) return { joins: [], oomFile: undefined }
    await parentsMade()
    if (![...roots].every((root) => existsSync(root))) {
      // Somebody took it away while nothing was in it.
      made = undefined
      await parentsMade()
    }
    await make()
    for (const each of files) {
      const path = pathOf(id, each)
      if (path !== undefined) await writeFile(path, each.value)
    }
    return groupOf(id)
  }

  return {
    controllers: new Set(parents.keys()),
    create: async (id, limits, apart = false) =>
      await create(id, apart ? filesFor(limits) : [...filesFor(limits), ...ofOnePiece], async () => {
        await Promise.all(directories(id).map(makeDirectory))
        // Not before: making a group takes a lock that is held meanwhile.
        expectJoin()
      }),
    adopt: async (id, from, limits) =>
      await create(id, [...filesFor(limits), ...ofOnePiece], () =>
        Promise.all([...roots].map((root) => renameGroup(join(root, from), join(root, id)))),
      ),
    hold,
    containerPath,
    holdContainer: (sandboxId, containerId, limits) => hold(join(sandboxId, containerId), limits),
    expectJoin,
    async get(id) {
      const [first] = directories(id)
      return first !== undefined && (await exists(first)) ? groupOf(id) : undefined
    },
    oomFileOf: (sandboxId, containerId) => pathOf(join(sandboxId, containerId), USAGE_FILES[version].oom),
    async usage(id) {
      const files = USAGE_FILES[version]
      const read = async (key: keyof typeof files): Promise<string | undefined> => {
        const path = pathOf(id, files[key])
        return path === undefined ? '' : await readFile(path, 'utf8').catch(() => undefined)
      }
      const [cpu, memory, memoryStat, pids] = await Promise.all([
        read('cpu'),
        read('memory'),
        read('memoryStat'),
        read('pids'),
      ])
      if (cpu === undefined || memory === undefined || memoryStat === undefined || pids === undefined) return undefined
      return parents.size === 0 ? undefined : parseUsage(version, { cpu, memory, memoryStat, pids })
    },
    remove,
    async recover(known, onError) {
      const found = await Promise.all(
        everywhere.map(async (root) => {
          try {
            return await groupsBelow(root)
          } catch (error) {
            onError(error, `the control groups below ${root}`)
            return []
          }
        }),
      )
      const strays = new Set(found.flat().filter((id) => !known.has(id)))
      await Promise.all(
        [...strays].map((id) => remove(id).catch((error: unknown) => onError(error, `the control group of ${id}`))),
      )
    },
    async close() {
      // One that still holds a sandbox stays, and so it should.
      for (const root of everywhere) await rmdir(root).catch(() => {})
      made = undefined
    },
  }
}

/** A share of what is contended is no promise that a machine without the controller would break. */
function isOnlyAWeight(file: string): boolean {
  return file === 'cpu.shares' || file === 'cpu.weight'
}

/** Empty where there is none. */
async function readText(path: string | undefined): Promise<string> {
  return path === undefined ? '' : await readFile(path, 'utf8').catch(() => '')
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o755 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    throw new RuntimeError(
      'failed',
      `could not make the control group ${basename(path)}: ${(error as Error).message}`,
      {
        cause: error,
      },
    )
  }
}

/** Version 1 has a name for it; in version 2 what is in it moves, one process at a time. */
async function renameGroup(from: string, to: string): Promise<void> {
  try {
    return await rename(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
  }
  await makeDirectory(to)
  const pids = (await readFile(join(from, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean)
  for (const pid of pids) await writeFile(join(to, 'cgroup.procs'), pid).catch(ignoreEnded)
  // Nothing in a sandbox made ahead forks: what is left in it ends with it.
  await removeGroup(from)
}

function ignoreEnded(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ESRCH') throw error
}

/** Version 2: groups below have only the controllers that were handed on, from the root down. */
async function delegate(group: string, controllers: readonly Controller[]): Promise<void> {
  const wanted = controllers.map((each) => `+${each}`).join(' ')
  for (const directory of [join(group, '..'), group]) await writeFile(join(directory, 'cgroup.subtree_control'), wanted)
}

/** What cannot be looked at may be there: who is not in the group of his sandbox is held to no limits. */
async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

async function groupsBelow(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(emptyWhereMissing)
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

async function removeGroup(path: string): Promise<void> {
  // runc makes a group below for each container, and leaves it where it was killed.
  for (const name of await groupsBelow(path)) await removeGroup(join(path, name))
  for (const wait of [...LEAVING_MS, undefined]) {
    try {
      await rmdir(path)
      return
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return
      if (code !== 'EBUSY' || wait === undefined) throw error
    }
    await killAll(path)
    await delay(wait)
  }
}

async function killAll(path: string): Promise<void> {
  const procs = await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '')
  for (const pid of procs.split('\n').map(Number).filter(Boolean)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended in between.
    }
  }
}
