/** Opens what a runtime consists of: the monitor, the drivers, images, the network and control groups. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CgroupTree, findCgroupTree } from './cgroups/cgroup-tree.ts'
import { cgroupName, openSandboxCgroups } from './cgroups/sandbox-cgroups.ts'
import { openImageLibrary } from './images/image-store.ts'
import { createMonitorClient } from './monitor/monitor-client.ts'
import { createNoNetwork } from './network/no-network.ts'
import { createPodNetwork } from './network/pod-network.ts'
import type { RegistryConfig } from './registry/registry-config.ts'
import { RuntimeError } from './runtime-error.ts'
import { type Blanks, createBlanks } from './sandbox/blanks.ts'
import { createDrivers } from './sandbox/drivers.ts'
import { createPreparation } from './sandbox/prepare.ts'
import type { Registry } from './sandbox/registry.ts'
import type { RuntimeParts } from './sandbox/runtime-parts.ts'
import { type ImagesKept, openStateFiles, usedImages } from './sandbox/state-files.ts'
import { defaultToolsDirectory } from './tools/tools.ts'

export interface RuntimeOptions {
  /** Private directory that holds everything: images, sandboxes, sockets. Absolute. */
  stateDirectory: string
  /** Where `installTools` puts its tools; default `defaultToolsDirectory()`. */
  toolsDirectory?: string
  /** Size at which a container's log is put aside, and how many files of it are kept. Default 10 MiB and 5. */
  log?: { maxBytes: number; maxFiles: number }
  /** The pod network, `a.b.c.d/n` with n from 16 to 24; default the first /16 of a few that the machine does not use. */
  podNetwork?: () => string | undefined
  /** The network of the cluster's Services, from which tenants pull no images. */
  serviceRange?: string
  /** Such as those of snapshots, which may be anywhere. */
  imagesKept?: ImagesKept
  /** Where control groups are; default this machine's. */
  cgroups?: CgroupTree
  /** Mirrors, authorities and exceptions for the registries that images are pulled from. */
  registries?: RegistryConfig | undefined
  /**
   * This process is root in a user namespace of a normal user. Such a one may run sandboxes under gVisor; it may not change
   * the machine's network nor its control groups, and what needs them says so.
   */
  unprivileged?: boolean
}

const NO_NETWORK =
  "sandboxes of a normal user's node have no network but their own loopback: interfaces and firewall rules of this machine are root's to make. Run the node as root for a pod network"
const DEFAULT_LOG = { maxBytes: 10 * 1024 * 1024, maxFiles: 5 }

/**
 * Resolves when all of them are open; what takes longer goes on meanwhile, and whoever needs it waits for it.
 *
 * @param registry is told of the exits of containers
 */
export async function openParts(
  options: RuntimeOptions,
  registry: Registry,
): Promise<{ parts: RuntimeParts; blanks: Blanks }> {
  const { stateDirectory, unprivileged = false } = options
  const toolsDirectory = options.toolsDirectory ?? defaultToolsDirectory()
  const files = await openStateFiles(stateDirectory)
  const monitorMain = fileURLToPath(new URL('./monitor/monitor-main.ts', import.meta.url))
  const monitor = createMonitorClient({
    stateDirectory,
    command: [process.execPath, monitorMain],
    onExit: (notice) => registry.recordExit(notice),
    onReplaced: () => registry.catchUp(),
  })
  // It takes a while to start; whoever needs it waits for the rest, and hears of a failure.
  monitor.ping().catch(() => {})
  const { run } = monitor
  const drivers = createDrivers({ stateDirectory, toolsDirectory, unprivileged, run })
  const imagesDirectory = join(stateDirectory, 'images')
  const prepare = createPreparation(drivers, { stateDirectory, imagesDirectory })
  // Begun now, so that the first container need not wait; whoever starts it hears of a failure.
  prepare().catch(() => {})
  // Nothing was made ahead while the images are opened.
  let madeAhead: Blanks | undefined
  const parts: RuntimeParts = {
    files,
    monitor,
    drivers,
    images: await openImageLibrary(imagesDirectory, {
      hostRootfs: async () => (await prepare()).host.path,
      async inUse() {
        // Asked before an image goes: what was made ahead on it is nobody's.
        await madeAhead?.drop()
        return usedImages(stateDirectory, options.imagesKept)
      },
      registries: options.registries,
      clusterRanges,
    }),
    cgroups: openSandboxCgroups(
      unprivileged ? undefined : (options.cgroups ?? findCgroupTree()),
      cgroupName(stateDirectory),
    ),
    network: unprivileged
      ? createNoNetwork(NO_NETWORK)
      : await createPodNetwork({ stateDirectory, toolsDirectory, cidr: options.podNetwork, run }),
    prepare,
    log: options.log ?? DEFAULT_LOG,
  }

  madeAhead = createBlanks(parts)

  async function clusterRanges(): Promise<string[]> {
    const services = options.serviceRange === undefined ? [] : [options.serviceRange]
    try {
      return [...services, (await parts.network.open()).range]
    } catch (error) {
      // Then there are no Pods to be reached either.
      if (error instanceof RuntimeError && error.code === 'network-missing') return services
      throw error
    }
  }

  return { parts, blanks: madeAhead }
}
