import { join } from 'node:path'
import type { CommandLine, Supervision } from '../monitor/protocol.ts'
import type { NativePrograms } from '../native/native-programs.ts'
import { type OverRootfs, overRootfsArguments } from '../native/rootfs-program.ts'
import type { ContainerSpec } from '../runtime.ts'
import type { Driver } from './drivers.ts'
import type { RuntimeParts } from './runtime-parts.ts'

export interface SupervisionOptions {
  driver: Driver
  id: string
  ociId: string
  directory: string
  /** Whose control group it is in. */
  group: string
  /** Without any network. */
  isolated: boolean
  /** What the OCI runtime calls the container whose sentry it is in. */
  root: string
  /** Subcommand and options that make it. */
  make: string[]
  /** What is mounted as its root file system before; undefined where that is there. */
  rootfs: OverRootfs | undefined
  streams: Partial<Pick<ContainerSpec, 'tty' | 'stdin' | 'stdinOnce' | 'logPath'>>
}

/** How the monitor makes a container and watches it. */
export async function supervisionOf(parts: RuntimeParts, options: SupervisionOptions): Promise<Supervision> {
  const { driver, id, ociId, directory, streams } = options
  const { native } = await parts.prepare()
  const runtimeLog = join(directory, 'runtime.log')
  const pidFile = join(directory, 'container.pid')
  const group = driver.ownsCgroups ? undefined : await parts.cgroups.get(options.group)
  if (group) parts.cgroups.expectJoin()
  const oomFile = group ? group.oomFile : parts.cgroups.oomFileOf(options.group, id)
  return {
    id,
    ociId,
    directory,
    ...makingOf(options, { pidFile, runtimeLog, native }),
    launch: launcherOf(options, native),
    console: native.console,
    joins: group?.joins ?? [],
    ...(oomFile !== undefined && { oomFile }),
    tty: streams.tty ?? false,
    stdin: streams.stdin ?? false,
    stdinOnce: streams.stdinOnce ?? false,
    log: { path: streams.logPath ?? join(directory, 'output.log'), ...parts.log },
    runtimeLog,
    pidFile,
  }
}

/** What makes it, and who knows of its end. */
function makingOf(
  { driver, ociId, directory, root, make, rootfs }: SupervisionOptions,
  { pidFile, runtimeLog, native }: { pidFile: string; runtimeLog: string; native: NativePrograms },
): Pick<Supervision, 'command' | 'end' | 'shim'> {
  if (driver.kind === 'shim') {
    const { tool, events, runcRoot } = driver
    const shim = { name: tool.name, events, runcRoot }
    return { command: driver.startCommand(ociId, directory), shim, end: { kind: 'shim' } }
  }
  const log = { runtimeLog }
  return {
    command: withRootfs(
      native,
      rootfs,
      driver.commandLine([...make, '--bundle', directory, '--pid-file', pidFile], log),
    ),
    end:
      driver.isSentry && ociId !== root
        ? { kind: 'asked', stateFile: driver.stateFile(ociId, root), wait: driver.commandLine(['wait', ociId], log) }
        : { kind: 'reaped', sentry: driver.isSentry },
  }
}

/** The command, once its container's root file system is there. */
export function withRootfs(native: NativePrograms, rootfs: OverRootfs | undefined, command: CommandLine): CommandLine {
  if (!rootfs) return command
  return {
    ...command,
    program: native.overRootfs,
    args: [...overRootfsArguments(rootfs), command.program, ...command.args],
  }
}

function launcherOf({ driver, isolated }: SupervisionOptions, native: NativePrograms): string {
  // A shim outlives what it is started for, and has to see the mounts of those that come.
  if (driver.kind === 'shim') return native.launchBare
  return isolated ? native.launchIsolated : native.launch
}
