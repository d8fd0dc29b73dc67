import type { SandboxCgroups } from '../cgroups/sandbox-cgroups.ts'
import type { ImageLibrary } from '../images/image-store.ts'
import type { MonitorClient } from '../monitor/monitor-client.ts'
import type { NativePrograms } from '../native/native-programs.ts'
import type { PodNetwork } from '../network/network.ts'
import type { Drivers } from './drivers.ts'
import type { ShownHost } from './show-host.ts'
import type { StateFiles } from './state-files.ts'

/** What the parts of the runtime share. */
export interface RuntimeParts {
  files: StateFiles
  monitor: MonitorClient
  drivers: Drivers
  images: ImageLibrary
  network: PodNetwork
  cgroups: SandboxCgroups
  /** Lays out the native programs and the host image, once. */
  prepare(): Promise<Prepared>
  log: { maxBytes: number; maxFiles: number }
}

export interface Prepared {
  native: NativePrograms
  host: ShownHost
}
