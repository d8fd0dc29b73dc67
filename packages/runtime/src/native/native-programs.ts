import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RuntimeError } from '../runtime.ts'
import type { Architecture } from './assembler.ts'
import { elfExecutable } from './elf.ts'
import { consoleProgram, launchProgram, netnsConnectProgram, pauseProgram } from './programs.ts'

/** Paths of the native programs on disk. */
export interface NativePrograms {
  pause: string
  launch: string
  launchCoveringNetworkSysctls: string
  console: string
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
  architecture = hostArchitecture(),
): Promise<NativePrograms> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const install = async (name: string, bytes: Uint8Array): Promise<string> => {
    const path = join(directory, name)
    const present = await readFile(path).catch(() => undefined)
    if (present && Buffer.compare(present, bytes) === 0) return path
    // Renamed into place: a program that is running cannot be written to.
    const temporary = `${path}.${process.pid}.new`
    await writeFile(temporary, bytes, { mode: 0o755 })
    await rename(temporary, path)
    return path
  }
  const [pause, launch, launchCoveringNetworkSysctls, console] = await Promise.all([
    install('pause', elfExecutable(pauseProgram(), architecture)),
    install('launch', elfExecutable(launchProgram({ coverNetworkSysctls: false }), architecture)),
    install('launch-covered', elfExecutable(launchProgram({ coverNetworkSysctls: true }), architecture)),
    install('console', elfExecutable(consoleProgram(), architecture)),
  ])
  return { pause, launch, launchCoveringNetworkSysctls, console }
}

/** The program that connects to one loopback port of a network namespace; a few hundred bytes, made for each use. */
export function netnsConnectExecutable(port: number): Uint8Array {
  return elfExecutable(netnsConnectProgram(port), hostArchitecture())
}
