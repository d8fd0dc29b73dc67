import type { DirectExec } from '../monitor/protocol.ts'
import { capabilityBits } from '../oci/process.ts'
import type { OciProcess } from '../oci/spec.ts'

/** gVisor takes it away from whoever did not ask for raw sockets when the sandbox was made, which we never do. */
const WITHHELD = 'CAP_NET_RAW'

export interface DirectExecOptions {
  process: OciProcess
  /** What the OCI runtime calls the container. */
  containerId: string
  /** The program `native/send-files`. */
  sendFiles: string
}

/** What `runsc exec --process` makes of an OCI process, for the sentry itself. Its limits are the container's. */
export function directExec({ process, containerId, sendFiles }: DirectExecOptions): DirectExec {
  const { user, args, env, cwd, capabilities } = process
  const bits = (names: readonly string[]): number => capabilityBits(names.filter((name) => name !== WITHHELD))
  return {
    sendFiles,
    args: {
      filename: '',
      argv: args,
      envv: env,
      wd: cwd,
      KUID: user.uid,
      KGID: user.gid,
      ExtraKGIDs: user.additionalGids,
      Capabilities: {
        BoundingCaps: bits(capabilities.bounding),
        EffectiveCaps: bits(capabilities.effective),
        InheritableCaps: bits(capabilities.inheritable),
        PermittedCaps: bits(capabilities.permitted),
        AmbientCaps: 0,
      },
      StdioIsPty: false,
      ContainerID: containerId,
    },
  }
}
