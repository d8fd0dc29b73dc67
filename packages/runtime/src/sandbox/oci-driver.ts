import { release } from 'node:os'
import { join } from 'node:path'
import type { CommandLine } from '../monitor/protocol.ts'
import { lastComplaint } from '../monitor/runtime-log.ts'
import { signalContainer } from '../monitor/sentry-control.ts'
import { installSkipGracePeriods } from '../native/native-programs.ts'
import { type RuntimeHandler } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { type RunCommand, runCommand } from '../tools/run-command.ts'
import { type RunscPlatform, runscBuildDate, runscPlatform, type Tool, toolEnvironment } from '../tools/tools.ts'
import { removeDamagedState } from './damaged-state.ts'

/** What differs between the OCI runtimes' command lines. */
export interface OciDriver {
  kind: 'oci'
  handler: RuntimeHandler
  tool: Tool
  /** True where a kernel of its own stands between the containers and the machine. */
  isSentry: boolean
  /** How a sentry intercepts system calls; undefined without one. */
  platform: RunscPlatform | undefined
  /** True where its sentry may be asked to execute a process or to write itself down, in the words of `sentry-control.ts`. */
  takesDirectCalls: boolean
  /** True where it makes a control group for each container itself; elsewhere they stay in the one that they are started in. */
  ownsCgroups: boolean
  /** Program, global options and subcommand; the caller adds the subcommand's options and the container. */
  commandLine(subcommand: string[], options: { runtimeLog: string }): CommandLine
  /** File that describes a container to `runsc`, with the sentry's control socket in it. */
  stateFile(containerId: string, rootContainerId: string): string
  /** Takes away what the runtime remembers of a container and whatever is left of it. No error where it knows nothing. */
  remove(containerId: string, directory: string): Promise<void>
}

/** It takes some 20 ms; one that hangs must not keep a whole node from ending. */
const REMOVAL_MS = 30_000

// gVisor issue 10704 was mended in the builds of August 2024.
const NETWORK_CHECK_MENDED = 20240901

/**
 * Builds of runsc for which the tests showed that a process that the sentry is asked for is the same as one of `runsc exec`
 * (`direct-exec.node.test.ts`), and that its snapshot is one of `runsc checkpoint` (`snapshots.node.test.ts`). The sentry's words are no published interface: a later build could mean more by them, a
 * right that is given where nothing is said, so what is not in here is executed by its own command.
 */
const DIRECT_CALL_BUILDS: ReadonlySet<number> = new Set([20240729])

/** True where this runsc takes every network namespace for the machine's own and refuses to use it. */
export function misjudgesNetworkNamespaces(version: string, kernel: string = release()): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map(Number)
  const date = runscBuildDate(version)
  return date !== undefined && date < NETWORK_CHECK_MENDED && (major > 6 || (major === 6 && minor >= 8))
}

/** @param run starts the runtime where it takes something away */
export async function createOciDriver(
  handler: RuntimeHandler,
  tool: Tool,
  { stateDirectory, run }: { stateDirectory: string; run: RunCommand },
): Promise<OciDriver> {
  const root = join(stateDirectory, handler)
  const env = Object.fromEntries(
    Object.entries(toolEnvironment(tool)).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
  const isSentry = handler === 'runsc'
  const platform = isSentry ? await runscPlatform(tool) : undefined
  const quick = isSentry ? [await installSkipGracePeriods(join(stateDirectory, 'native'))] : []
  const [program, ...before] = [...quick, tool.path]

  function globalOptions(runtimeLog: string): string[] {
    const options = ['--root', root, '--log', runtimeLog, '--log-format', 'json']
    if (!isSentry) return handler === 'crun' ? ['--cgroup-manager', 'disabled', ...options] : options
    return [
      ...options,
      `--platform=${platform}`,
      '--ignore-cgroups',
      // What containers write to their root goes to an unlinked file: bounded by the disk and not by memory, and gone with
      // the sandbox. Volumes are written through.
      `--overlay2=root:dir=${join(stateDirectory, 'overlay')}`,
      // Also where there is no network: "none" would not let anybody connect to what listens on loopback.
      '--network=sandbox',
      '--host-uds=none',
      '--host-fifo=none',
      '--net-disconnect-ok',
    ]
  }

  return {
    kind: 'oci',
    handler,
    tool,
    isSentry,
    platform,
    takesDirectCalls: isSentry && DIRECT_CALL_BUILDS.has(runscBuildDate(tool.version) ?? 0),
    ownsCgroups: handler === 'runc',
    commandLine: (subcommand, { runtimeLog }) => ({
      program,
      args: [...before, ...globalOptions(runtimeLog), ...subcommand],
      env,
    }),
    stateFile: (containerId, rootContainerId) => join(root, `${containerId}_sandbox:${rootContainerId}.state`),
    async remove(containerId, directory) {
      const runtimeLog = join(directory, 'runtime.log')
      const args = [...before, ...globalOptions(runtimeLog), 'delete', '--force', containerId]
      const { exitCode, stderr } = await run(program, args, { env, timeoutMs: REMOVAL_MS })
      if (exitCode === 0 || /does not exist|not exist|no such file/i.test(stderr + (lastComplaint(runtimeLog) ?? '')))
        return
      if (await removeDamagedState({ root, containerId, isSentry })) return
      throw new RuntimeError('failed', `${handler} could not remove container ${containerId}: ${stderr.trim()}`)
    },
  }
}

/** Sends a signal to the first process of a container in a sentry. */
export async function signalSentryContainer(options: {
  driver: OciDriver
  stateFile: string
  containerId: string
  signal: number
  runtimeLog: string
}): Promise<void> {
  const { driver, containerId, signal } = options
  try {
    await signalContainer(options.stateFile, { containerId, signal, pid: 0 })
  } catch {
    const command = driver.commandLine(['kill', containerId, String(signal)], { runtimeLog: options.runtimeLog })
    // That it is gone already is what the caller finds out from its exit.
    await runCommand(command.program, command.args, { env: command.env })
  }
}
