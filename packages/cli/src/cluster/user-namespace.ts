/**
 * The node of a normal user. What it has to be root for (mounts, the files of other users, what runsc asks for) it is root
 * for in a user namespace of its own, with mounts of its own; what belongs to the machine (its network, control groups) it
 * does without.
 *
 * Sandboxes outlive the cluster's process, and mounts go with their namespace, so that the next process has to be in the
 * same one: a process that does nothing else holds it open.
 */
import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { CliError } from '../cli-error.ts'
import { isSameRun, type ProcessRun, thisRun } from './daemon-record.ts'
import { type DataDirectory, prepareDataDirectory } from './data-directory.ts'

/** Set for the commands that are inside. */
const INSIDE = 'CAISSON_USER_NAMESPACE'

export function isNormalUser(): boolean {
  return process.getuid?.() !== 0
}

/** Whether this process is root in a namespace of a normal user. */
export function isInUserNamespace(): boolean {
  return process.env[INSIDE] !== undefined
}

/** Before a cluster starts: what it will not do. */
export function sayWhatIsMissing(): void {
  if (isNormalUser())
    console.error(
      "caisson: as a normal user's, the sandboxes have no pod network and no control groups: 'caisson doctor' says more",
    )
}

/** Goes on as the same command in the user's namespace, in place of this process. Nothing to do for root. */
export function enterUserNamespace(directory: DataDirectory): void {
  if (!isNormalUser()) return
  const [program = '', ...args] = entryCommand(directory)
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  process.execve?.(program, [program, ...args, ...self], { ...process.env, [INSIDE]: '1' })
  throw new CliError('failed', `this Node (${process.version}) cannot run a program in its own place: use 24 or newer`)
}

/** How a command is run as it is for this user: as it is for root, in the namespace for everybody else. */
export function inUserNamespace(
  directory: DataDirectory,
  command: string[],
): { command: string[]; env: NodeJS.ProcessEnv } {
  if (!isNormalUser()) return { command, env: process.env }
  return { command: [...entryCommand(directory), ...command], env: { ...process.env, [INSIDE]: '1' } }
}

function entryCommand(directory: DataDirectory): string[] {
  prepareDataDirectory(directory)
  const held = readHolder(directory)
  if (held) {
    const of = (kind: string): string => `/proc/${held.pid}/ns/${kind}`
    return [programPath('nsenter'), `--user=${of('user')}`, `--mount=${of('mnt')}`, '--preserve-credentials', '--']
  }
  const ways = userNamespaces()
  if (!ways.possible) throw new CliError('not-permitted', `the node needs root, or user namespaces: ${ways.reason}`)
  return [programPath('unshare'), ...ways.options, '--mount', '--']
}

export type UserNamespaces =
  | { possible: false; reason: string }
  /** @property allIds where the namespace has more users than root, from /etc/subuid */
  | { possible: true; options: string[]; allIds: boolean }

/** What this machine gives a normal user, found out by trying. */
export function userNamespaces(): UserNamespaces {
  const unshare = findProgram('unshare')
  if (unshare === undefined || findProgram('nsenter') === undefined)
    return { possible: false, reason: 'unshare and nsenter are missing: install the package util-linux' }
  const works = (options: string[]): string | undefined => {
    const { status, stderr, error } = spawnSync(unshare, [...options, '--mount', '--', 'true'], { encoding: 'utf8' })
    return status === 0 ? undefined : (error?.message ?? stderr.trim())
  }
  const own = ['--user', '--map-root-user']
  const all = [...own, '--map-auto']
  if (findProgram('newuidmap') !== undefined && works(all) === undefined)
    return { possible: true, options: all, allIds: true }
  const problem = works(own)
  if (problem === undefined) return { possible: true, options: own, allIds: false }
  const settings =
    'kernel.unprivileged_userns_clone, user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns'
  return {
    possible: false,
    reason: `${problem}: run it with sudo, or have an administrator allow them (sysctl ${settings})`,
  }
}

/** Of the cluster's process: keeps its namespaces for the next one. Nothing to do for root, and where they are held already. */
export function holdNamespaces(directory: DataDirectory): void {
  if (!isInUserNamespace() || readHolder(directory)) return
  const holder = spawn('sleep', ['infinity'], { detached: true, stdio: 'ignore', cwd: '/' })
  if (holder.pid === undefined) throw new CliError('failed', 'sleep could not be run: install the package coreutils')
  writeFileSync(directory.namespaces, `${JSON.stringify(thisRun(holder.pid))}\n`, { mode: 0o600 })
  holder.unref()
}

/** When nothing is left that has to be found again. */
export function releaseNamespaces(directory: DataDirectory): void {
  const holder = readHolder(directory)
  rmSync(directory.namespaces, { force: true })
  if (holder) process.kill(holder.pid, 'SIGKILL')
}

function readHolder(directory: DataDirectory): ProcessRun | undefined {
  try {
    const holder = JSON.parse(readFileSync(directory.namespaces, 'utf8')) as ProcessRun
    return isSameRun(holder) ? holder : undefined
  } catch {
    return undefined
  }
}

function programPath(name: string): string {
  const path = findProgram(name)
  if (path === undefined) throw new CliError('failed', `${name} is missing: install the package util-linux`)
  return path
}

function findProgram(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/bin']
  return directories.map((directory) => join(directory, name)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return path.startsWith('/')
  } catch {
    return false
  }
}
