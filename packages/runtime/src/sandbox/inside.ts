/** What is changed of the kernel in a sandbox under gVisor, by programs of ours that run in it for a moment. */
import { join } from 'node:path'
import { PARAMETER_PATH_SIZE, PARAMETER_VALUE_SIZE } from '../native/restore-programs.ts'
import { RuntimeError } from '../runtime-error.ts'
import type { OciDriver } from './oci-driver.ts'
import type { RuntimeParts } from './runtime-parts.ts'

/** Kernel parameters that gVisor's network stack goes by when they are written. Others can only be read, or do nothing. */
export const SENTRY_PARAMETERS: readonly string[] = [
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
]

/** Bits of capabilities. */
const CAPABILITIES = { CAP_SYS_ADMIN: 1 << 21 }

/** The container that its sentry began with. */
interface FirstContainer {
  ociId: string
  directory: string
  driver: OciDriver
}

/** Gives a sandbox a name, which its processes see from then on. */
export async function nameSandbox(
  parts: RuntimeParts,
  { hostname, ...container }: FirstContainer & { hostname: string },
): Promise<void> {
  const { native } = await parts.prepare()
  const program = { name: 'set-hostname', program: native.setHostname, input: hostname }
  await run(parts, container, { ...program, capability: 'CAP_SYS_ADMIN' })
}

/**
 * Sets those of `SENTRY_PARAMETERS`, for sockets that are made from then on.
 *
 * @throws RuntimeError which names the first that gVisor does not take
 */
export async function setParameters(
  parts: RuntimeParts,
  container: FirstContainer,
  parameters: Readonly<Record<string, string>>,
): Promise<void> {
  const { native } = await parts.prepare()
  for (const [name, value] of Object.entries(parameters)) {
    if (Buffer.byteLength(value) > PARAMETER_VALUE_SIZE)
      throw new RuntimeError('failed', `the value of ${name} is longer than ${PARAMETER_VALUE_SIZE} bytes`)
    const input = `/proc/sys/${name.replaceAll('.', '/')}`.padEnd(PARAMETER_PATH_SIZE, '\0') + value
    const program = { name: 'set-parameter', program: native.setParameter, input }
    await run(parts, container, program).catch((cause: unknown) => {
      throw new RuntimeError('failed', `the sandbox does not take ${name}=${JSON.stringify(value)}`, { cause })
    })
  }
}

interface ShortProgram {
  name: string
  program: string
  input: string
  capability?: keyof typeof CAPABILITIES
}

/** Its monitor does: it has less to copy for each process. */
async function run(
  parts: RuntimeParts,
  { ociId, directory, driver }: FirstContainer,
  { capability, ...program }: ShortProgram,
): Promise<void> {
  const { native } = await parts.prepare()
  const runtimeLog = join(directory, `runtime.log.${program.name}`)
  const may = capability === undefined ? [] : [`--cap=${capability}`]
  await parts.monitor.runInside({
    ...program,
    ociId,
    directory,
    capabilities: capability === undefined ? 0 : CAPABILITIES[capability],
    stateFile: driver.stateFile(ociId, ociId),
    sendFiles: native.sendFiles,
    exec: driver.commandLine(['exec', '--exec-fd=3', '--user=0:0', ...may, '--cwd=/', ociId], { runtimeLog }),
    runtimeLog,
  })
}
