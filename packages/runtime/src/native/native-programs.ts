import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '../runtime-error.ts'
import type { Architecture, Program } from './assembler.ts'
import { elfExecutable } from './elf.ts'
import { skipGracePeriodsProgram } from './grace-periods-program.ts'
import { consoleProgram, type LaunchOptions, launchProgram, netnsConnectProgram, pauseProgram } from './programs.ts'
import { bindMountsProgram, sendFilesProgram, setHostnameProgram, setParameterProgram } from './restore-programs.ts'
import { overRootfsProgram } from './rootfs-program.ts'
import { type ShownDirectory, showProgram } from './show-program.ts'
import { systemCallsProgram } from './system-calls-program.ts'

/** Paths of the native programs on disk. */
export interface NativePrograms {
  /** A root file system that holds nothing but `pause`. */
  pauseRootfs: string
  /** Starts what has a network namespace of its own already, or makes one. */
  launch: string
  /** Starts what shall have no network. */
  launchIsolated: string
  /** Starts what has to see mounts that are made after it. */
  launchBare: string
  /** Starts what is to end with who started it. */
  launchHeld: string
  console: string
  netnsConnect: string
  /** Binds files and directories over others. */
  bindMounts: string
  /** Sends open files to a socket. */
  sendFiles: string
  /** Mounts a root file system and becomes a command. */
  overRootfs: string
  /** Runs inside a sandbox. */
  setHostname: string
  setParameter: string
}

/** Architecture of this process, in the spelling of OCI and Debian. */
export function hostArchitecture(): Architecture {
  if (process.arch === 'x64') return 'amd64'
  if (process.arch === 'arm64') return 'arm64'
  throw new RuntimeError('failed', `expected an amd64 or arm64 machine, found ${process.arch}`)
}

/** Writes the native programs into a directory unless the same bytes are there already. */
export async function installNativePrograms(
  directory: string,
  launchOptions: Pick<LaunchOptions, 'coverNetworkSysctls' | 'shown'>,
): Promise<NativePrograms> {
  const pauseRootfs = join(directory, 'pause-rootfs')
  // Not root inside: it must be able to enter. The directory above keeps everybody else out.
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await mkdir(pauseRootfs, { recursive: true, mode: 0o755 })
  for (const mountPoint of ['proc', 'dev', 'sys']) await mkdir(join(pauseRootfs, mountPoint), { recursive: true })
  const launch = join(directory, 'launch')
  const launchIsolated = join(directory, 'launch-isolated')
  const launchBare = join(directory, 'launch-bare')
  const launchHeld = join(directory, 'launch-held')
  const plain = { ...launchOptions, privateNetwork: false, diesWithParent: false }
  const console = join(directory, 'console')
  const netnsConnect = join(directory, 'netns-connect')
  const bindMounts = join(directory, 'bind-mounts')
  const sendFiles = join(directory, 'send-files')
  const overRootfs = join(directory, 'over-rootfs')
  const setHostname = join(directory, 'set-hostname')
  const setParameter = join(directory, 'set-parameter')
  await Promise.all([
    install(join(pauseRootfs, 'pause'), pauseProgram()),
    install(launch, launchProgram(plain)),
    install(launchIsolated, launchProgram({ ...plain, privateNetwork: true })),
    install(launchBare, launchProgram({ ...plain, coverNetworkSysctls: false, shown: [] })),
    install(launchHeld, launchProgram({ ...plain, diesWithParent: true })),
    install(console, consoleProgram()),
    install(netnsConnect, netnsConnectProgram()),
    install(bindMounts, bindMountsProgram()),
    install(sendFiles, sendFilesProgram()),
    install(overRootfs, overRootfsProgram()),
    install(setHostname, setHostnameProgram()),
    install(setParameter, setParameterProgram()),
  ])
  return {
    pauseRootfs,
    launch,
    launchIsolated,
    launchBare,
    launchHeld,
    console,
    netnsConnect,
    bindMounts,
    sendFiles,
    overRootfs,
    setHostname,
    setParameter,
  }
}

/**
 * Writes `show-host`, before the others: whether it can do what it is for decides what they do.
 * @returns its path
 */
export async function installShowHost(directory: string, shown: readonly ShownDirectory[]): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, 'show-host')
  await install(path, showProgram(shown))
  return path
}

/**
 * Writes `skip-grace-periods` as the others are written, which wait until something is started: it stands before runsc also
 * where that takes something away.
 * @returns its path
 */
export async function installSkipGracePeriods(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, 'skip-grace-periods')
  await install(path, skipGracePeriodsProgram(hostArchitecture()))
  return path
}

/**
 * Writes `system-calls` as the others are written, for who has no sandbox to start.
 * @returns its path
 */
export async function installSystemCalls(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, 'system-calls')
  await install(path, systemCallsProgram())
  return path
}

async function install(path: string, program: Program): Promise<void> {
  const bytes = elfExecutable(program, hostArchitecture())
  const present = await readFile(path).catch(() => undefined)
  if (present && Buffer.compare(present, bytes) === 0) return
  // Renamed into place: a program that is running cannot be written to. Several at a time may find that it is not there.
  const temporary = `${path}.${randomUUID()}.new`
  await writeFile(temporary, bytes, { mode: 0o755 })
  await rename(temporary, path)
}
