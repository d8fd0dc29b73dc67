import { join } from 'node:path'
import type { Supervision } from '../monitor/protocol.ts'
import { containerCgroup } from '../oci/bundle.ts'
import type { ContainerSpec } from '../runtime.ts'
import type { RuntimeParts } from './containers.ts'
import type { OciDriver } from './oci-driver.ts'

export interface SupervisionOptions {
  driver: OciDriver
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
  streams: Partial<Pick<ContainerSpec, 'tty' | 'stdin' | 'stdinOnce' | 'logPath'>>
}

/** How the monitor makes a container and watches it. */
export async function supervisionOf(parts: RuntimeParts, options: SupervisionOptions): Promise<Supervision> {
  const { driver, id, ociId, directory, root, streams } = options
  const { native } = await parts.prepare()
  const runtimeLog = join(directory, 'runtime.log')
  const pidFile = join(directory, 'container.pid')
  const log = { runtimeLog }
  const group = driver.ownsCgroups ? undefined : await parts.cgroups.get(options.group)
  const oomFile = group ? group.oomFile : parts.cgroups.oomFileOf(containerCgroup(id))
  return {
    id,
    ociId,
    directory,
    command: driver.commandLine([...options.make, '--bundle', directory, '--pid-file', pidFile], log),
    launch: options.isolated ? native.launchIsolated : native.launch,
    console: native.console,
    joins: group?.joins ?? [],
    ...(oomFile !== undefined && { oomFile }),
    tty: streams.tty ?? false,
    stdin: streams.stdin ?? false,
    stdinOnce: streams.stdinOnce ?? false,
    log: { path: streams.logPath ?? join(directory, 'output.log'), ...parts.log },
    runtimeLog,
    pidFile,
    end:
      driver.isSentry && ociId !== root
        ? { kind: 'asked', stateFile: driver.stateFile(ociId, root), wait: driver.commandLine(['wait', ociId], log) }
        : { kind: 'reaped', sentry: driver.isSentry },
  }
}
