import { constants } from 'node:fs'
import { access, readdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { OciHandler } from '../runtime.ts'
import { runCommand } from './run-command.ts'

/** Programs of others that the runtime uses. Only `runsc` is needed for sandboxes without a pod network. */
export type ToolName = OciHandler | ShimName | 'nft' | 'busybox' | 'docker-registry' | 'curl' | 'dig' | 'nc.openbsd'

/** containerd's shims, version 2 of their protocol. */
export type ShimName = 'containerd-shim-runc-v2' | 'containerd-shim-kata-v2' | 'containerd-shim-kata-fc-v2'

/** What distributions have packages of. */
export type PackagedTool = Exclude<ToolName, 'containerd-shim-kata-v2' | 'containerd-shim-kata-fc-v2'>

export interface Tool {
  name: ToolName
  path: string
  /** As the program itself says it. */
  version: string
  /** What the program's environment needs: where its libraries are, if they came with it. */
  env: Record<string, string>
}

/** Those that are linked against libraries; the others are whole in themselves. */
const LINKED = new Set<ToolName>(['runc', 'crun', 'nft', 'containerd-shim-runc-v2', 'curl', 'dig', 'nc.openbsd'])

/** How runsc intercepts system calls. `kvm` is for machines with hardware virtualisation that the guest may use. */
export type RunscPlatform = 'systrap' | 'ptrace'

/** `$CAISSON_TOOLS_DIR`, else a directory of the user's cache, which all state directories share. */
export function defaultToolsDirectory(): string {
  const cache = process.env.XDG_CACHE_HOME
  const base = cache?.startsWith('/') ? cache : join(homedir(), '.cache')
  return process.env.CAISSON_TOOLS_DIR ?? join(base, 'caisson', 'tools')
}

/**
 * Looks for a tool in the tools directory, then in PATH.
 * @returns undefined where it is not there or does not run
 */
export async function findTool(name: ToolName, toolsDirectory: string): Promise<Tool | undefined> {
  const own = join(toolsDirectory, 'bin', name)
  if (await isExecutable(own)) {
    const env = LINKED.has(name) ? await libraryEnvironment(toolsDirectory) : {}
    const version = await toolVersion(name, own, env)
    if (version !== undefined) return { name, path: own, version, env }
  }
  for (const directory of searchPath()) {
    const path = join(directory, name)
    if (!(await isExecutable(path))) continue
    const version = await toolVersion(name, path, {})
    if (version !== undefined) return { name, path, version, env: {} }
  }
  return undefined
}

/** The environment to run a tool with. */
export function toolEnvironment(tool: Tool): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', ...tool.env }
}

/**
 * The best platform that a runsc has: systrap since 2023, ptrace before. `kvm` is never chosen: it hangs where
 * virtualisation is not passed on.
 */
export async function runscPlatform(tool: Tool): Promise<RunscPlatform> {
  const { stdout, stderr } = await runCommand(tool.path, ['flags'], { env: toolEnvironment(tool) })
  return `${stdout}${stderr}`.includes('systrap') ? 'systrap' : 'ptrace'
}

/** Date of a runsc build, yyyymmdd, from either of its two spellings: `release-20240729.0` and `0.0~20240729.0`. */
export function runscBuildDate(version: string): number | undefined {
  const date = /(?:^|[-~])(20\d{6})(?:\.|$)/.exec(version)?.[1]
  return date === undefined ? undefined : Number(date)
}

const VERSION_FLAGS: Partial<Record<ToolName, string>> = {
  busybox: '--help',
  'containerd-shim-runc-v2': '-v',
  dig: '-v',
  'nc.openbsd': '-h',
}

async function toolVersion(name: ToolName, path: string, env: Record<string, string>): Promise<string | undefined> {
  const args = [VERSION_FLAGS[name] ?? '--version']
  const run = { PATH: process.env.PATH ?? '', ...env }
  const result = await runCommand(path, args, { env: run }).catch(() => undefined)
  if (result?.exitCode !== 0) return undefined
  // "runsc version release-…", "runc version 1.1.5+…", "crun version 1.8.1", "nftables v1.0.6 (…)", "BusyBox v1.35.0 (…"
  // A shim says it in its second line, or after a colon.
  if (name.startsWith('containerd-shim-')) return /version:\s*([^\s,]+)/i.exec(result.stdout)?.[1] ?? ''
  return /(?:version|v)\s*(\S+)/.exec(result.stdout.split('\n')[0] ?? '')?.[1] ?? result.stdout.split('\n')[0] ?? ''
}

function searchPath(): string[] {
  // The administrator's directories are often missing from a user's PATH, and nft lives there.
  return [...new Set([...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'])].filter(
    (directory) => directory.startsWith('/'),
  )
}

/** Where `installTools` put the libraries that came with a tool. */
async function libraryEnvironment(toolsDirectory: string): Promise<Record<string, string>> {
  const lib = join(toolsDirectory, 'lib')
  const entries = await readdir(lib, { withFileTypes: true }).catch(() => [])
  const directories = entries.filter((entry) => entry.isDirectory()).map((entry) => join(lib, entry.name))
  return directories.length > 0 ? { LD_LIBRARY_PATH: directories.join(':') } : {}
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
