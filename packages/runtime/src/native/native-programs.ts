import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '../runtime.ts'
import type { Architecture, Program } from './assembler.ts'
import { elfExecutable } from './elf.ts'
import { consoleProgram, type LaunchOptions, launchProgram, netnsConnectProgram, pauseProgram } from './programs.ts'

/** Paths of the native programs on disk. */
export interface NativePrograms {
  /** A root file system that holds nothing but `pause`. */
  pauseRootfs: string
  launch: string
  console: string
}

/** Architecture of this process, in the spelling of OCI and Debian. */
export function hostArchitecture(): Architecture {
  if (process.arch === 'x64') return 'amd64'
  if (process.arch === 'arm64') return 'arm64'
  throw new RuntimeError('failed', `expected an amd64 or arm64 machine, found ${process.arch}`)
}

/** Writes the native programs into a directory unless the same bytes are there already. */
export async function installNativePrograms(directory: string, launchOptions: LaunchOptions): Promise<NativePrograms> {
  const pauseRootfs = join(directory, 'pause-rootfs')
  await mkdir(pauseRootfs, { recursive: true, mode: 0o700 })
  for (const mountPoint of ['proc', 'dev', 'sys']) await mkdir(join(pauseRootfs, mountPoint), { recursive: true })
  const launch = join(directory, 'launch')
  const console = join(directory, 'console')
  await Promise.all([
    install(join(pauseRootfs, 'pause'), pauseProgram()),
    install(launch, launchProgram(launchOptions)),
    install(console, consoleProgram()),
  ])
  return { pauseRootfs, launch, console }
}

/** The program that connects to one loopback port of a network namespace; under a kilobyte, made for each use. */
export function netnsConnectExecutable(port: number): Uint8Array {
  return elfExecutable(netnsConnectProgram(port), hostArchitecture())
}

async function install(path: string, program: Program): Promise<void> {
  const bytes = elfExecutable(program, hostArchitecture())
  const present = await readFile(path).catch(() => undefined)
  if (present && Buffer.compare(present, bytes) === 0) return
  // Renamed into place: a program that is running cannot be written to.
  const temporary = `${path}.${process.pid}.new`
  await writeFile(temporary, bytes, { mode: 0o755 })
  await rename(temporary, path)
}
