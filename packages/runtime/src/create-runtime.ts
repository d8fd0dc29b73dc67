import { constants } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CgroupTree, findCgroupTree } from './cgroups/cgroup-tree.ts'
import { cgroupName, openSandboxCgroups } from './cgroups/sandbox-cgroups.ts'
import { prepareHostRootfs } from './images/host-image.ts'
import { openImageLibrary } from './images/image-store.ts'
import { createMonitorClient } from './monitor/monitor-client.ts'
import { installNativePrograms } from './native/native-programs.ts'
import { createNoNetwork } from './network/no-network.ts'
import { createPodNetwork } from './network/pod-network.ts'
import type { RegistryConfig } from './registry/registry-config.ts'
import type { Container, ContainerSpec, Runtime } from './runtime.ts'
import { RuntimeError } from './runtime-error.ts'
import { beginSandbox } from './sandbox/begin-sandbox.ts'
import { type Blanks, createBlanks } from './sandbox/blanks.ts'
import { cancelStart } from './sandbox/cancel-start.ts'
import { checkpointSandbox } from './sandbox/checkpoint.ts'
import { concealPaths } from './sandbox/conceal-paths.ts'
import { connectToSandbox } from './sandbox/connect.ts'
import {
  endsOfSignal,
  execInContainer,
  killContainer,
  noteRestored,
  removeContainerEntry,
  startContainer,
} from './sandbox/containers.ts'
import { createDrivers } from './sandbox/drivers.ts'
import { containerView, newSandboxEntry, type SandboxEntry, sandboxView } from './sandbox/entries.ts'
import { misjudgesNetworkNamespaces } from './sandbox/oci-driver.ts'
import { attachToStarting, openProcessStreams } from './sandbox/process-streams.ts'
import { recoverSandboxes, removeUnusedLayouts } from './sandbox/recover.ts'
import { createRegistry } from './sandbox/registry.ts'
import { resizeSandbox } from './sandbox/resize.ts'
import { type Prepared, type RuntimeParts } from './sandbox/runtime-parts.ts'
import { createConnectionPlaces, createExecPlaces } from './sandbox/sandbox-places.ts'
import { shimEvents } from './sandbox/shim-driver.ts'
import { openSnapshot, partOf, requireSameRights, type StoredSnapshot, snapshotOf } from './sandbox/snapshot-files.ts'
import { imagesInUse, openStateFiles, readContainer } from './sandbox/state-files.ts'
import { validateContainerSpec, validateSandboxSpec } from './sandbox/validate-spec.ts'
import { writtenBytes } from './sandbox/written-bytes.ts'
import { forgetEvents } from './shim/events.ts'
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
const NO_LIMITS =
  "a normal user's node has no control groups, so that no limit of memory, processors and processes is held. Run the node as root for limits"

/** Who keeps a sandbox that goes on makes copies of it. */
const FORKS_EXPECTED = 5

const DEFAULT_LOG = { maxBytes: 10 * 1024 * 1024, maxFiles: 5 }

/** Opens the runtime of one state directory. One process at a time may have it open; containers outlive that process. */
export async function createRuntime(options: RuntimeOptions): Promise<Runtime> {
  const { stateDirectory, unprivileged = false } = options
  const toolsDirectory = options.toolsDirectory ?? defaultToolsDirectory()
  const files = await openStateFiles(stateDirectory)
  const registry = createRegistry()
  /** By id, with what tells how it went. */
  const starting = new Map<string, { spec: ContainerSpec; begun: Promise<void> }>()
  const monitorMain = fileURLToPath(new URL('./monitor/monitor-main.ts', import.meta.url))
  const monitor = createMonitorClient({
    stateDirectory,
    command: [process.execPath, monitorMain],
    onExit: (notice) => registry.recordExit(notice),
    onReplaced: () => void registry.catchUp(),
  })
  // It takes a while to start; whoever needs it waits for the rest, and hears of a failure.
  monitor.ping().catch(() => {})
  const { run } = monitor
  const drivers = createDrivers({ stateDirectory, toolsDirectory, unprivileged, run })
  let tidied: Promise<void> | undefined
  let prepared: { for: string; done: Promise<Prepared> } | undefined
  // Begun now, so that the first container need not wait; whoever starts it hears of a failure.
  prepare().catch(() => {})
  // Nothing was made ahead while the images are opened.
  let madeAhead: Blanks | undefined
  const parts: RuntimeParts = {
    files,
    monitor,
    drivers,
    images: await openImageLibrary(join(stateDirectory, 'images'), {
      hostRootfs: async () => (await prepare()).host.path,
      async inUse() {
        // Asked before an image goes: what was made ahead on it is nobody's.
        await madeAhead?.drop()
        return imagesInUse(stateDirectory)
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

  const blanks = createBlanks(parts)
  madeAhead = blanks

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

  /** Once, and again when another runsc has turned up: the programs depend on what it gets wrong. */
  async function prepare(): Promise<Prepared> {
    // Of no other: those that are not there would be looked for in all of PATH, some thirty times for each start.
    const version = (await drivers.find('runsc'))?.tool.version ?? ''
    if (prepared?.for !== version) prepared = { for: version, done: prepareFor(version) }
    return prepared.done
  }

  async function prepareFor(runscVersion: string): Promise<Prepared> {
    const images = join(stateDirectory, 'images')
    const host = await prepareHostRootfs(join(images, 'host'))
    const coverNetworkSysctls = misjudgesNetworkNamespaces(runscVersion)
    const native = await installNativePrograms(join(stateDirectory, 'native'), {
      coverNetworkSysctls,
      // What a sentry's gofer would change of an image, it would change for everybody.
      binds: [{ source: images, target: images }, ...host.binds],
    })
    return { native, host }
  }

  async function removeSandboxEntry(sandbox: SandboxEntry): Promise<void> {
    const { id } = sandbox.record.spec
    if (sandbox.blank) await blanks.discard(sandbox.blank)
    sandbox.blank = undefined
    const entries = [...sandbox.containers.values()]
    await Promise.all(entries.map((entry) => killContainer(parts, sandbox, entry)))
    if (sandbox.pause) await killContainer(parts, sandbox, sandbox.pause)
    // Sub-containers before the one that their sentry began with.
    await Promise.all(entries.map((entry) => removeContainerEntry(parts, sandbox, entry)))
    if (sandbox.pause) await removeContainerEntry(parts, sandbox, sandbox.pause)
    await parts.network.detach(id)
    await parts.cgroups.remove(id)
    await files.removeSandbox(id)
    registry.sandboxes.delete(id)
  }

  function removeOnce(sandbox: SandboxEntry): Promise<void> {
    sandbox.removing ??= removeSandboxEntry(sandbox).finally(() => {
      sandbox.removing = undefined
    })
    return sandbox.removing
  }

  async function startOrRestore(
    spec: ContainerSpec,
    snapshot: StoredSnapshot | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Container> {
    validateContainerSpec(spec)
    const sandbox = registry.sandbox(spec.sandboxId)
    if (sandbox.removing) throw new RuntimeError('not-found', `sandbox ${spec.sandboxId} is being removed`)
    if (registry.find(spec.id) || starting.has(spec.id)) {
      throw new RuntimeError('already-exists', `container ${spec.id} is there already`)
    }
    signal?.throwIfAborted()
    const begun = Promise.withResolvers<void>()
    // Only who attaches meanwhile asks.
    begun.promise.catch(() => {})
    starting.set(spec.id, { spec, begun: begun.promise })
    try {
      using _ = cancelStart(files.containerDirectory(spec.id), signal)
      const entry = await startContainer(parts, sandbox, structuredClone(spec), snapshot)
      sandbox.containers.set(spec.id, entry)
      // It may have ended before it could be looked up.
      const { state } = await readContainer(entry.directory)
      if (state?.phase === 'exited') registry.recordExit({ id: spec.id, state })
      if (signal?.aborted) {
        await killContainer(parts, sandbox, entry)
        await runtime.removeContainer(spec.id)
        signal.throwIfAborted()
      }
      begun.resolve()
      return containerView(spec, entry)
    } catch (error) {
      const told = concealPaths(error, { spec, directory: files.containerDirectory(spec.id), stateDirectory })
      begun.reject(told)
      throw told
    } finally {
      starting.delete(spec.id)
    }
  }

  const executed = createExecPlaces()
  const connected = createConnectionPlaces()

  const runtime: Runtime = {
    images: parts.images,
    network: {
      open: () => parts.network.open(),
      place: () => parts.network.place(),
      change: (change) => parts.network.change(change),
    },

    async handlers() {
      const available = await drivers.available()
      return new Map(available.map(({ handler, tool }) => [handler, { path: tool.path, version: tool.version }]))
    },

    async createSandbox(spec, signal) {
      validateSandboxSpec(spec)
      if (registry.sandboxes.has(spec.id))
        throw new RuntimeError('already-exists', `sandbox ${spec.id} is there already`)
      const sandbox = newSandboxEntry({ spec: structuredClone(spec), ip: undefined, createdAt: Date.now() })
      registry.sandboxes.set(spec.id, sandbox)
      try {
        await beginSandbox(parts, sandbox, { blanks, signal })
      } catch (error) {
        await removeOnce(sandbox)
        throw error
      }
      return sandboxView(sandbox)
    },

    startContainer: (spec, signal) => startOrRestore(spec, undefined, signal),

    async restoreContainer(spec, snapshotDirectory, signal) {
      // Refused before anything is made for it.
      const sandbox = registry.sandbox(spec.sandboxId)
      const { shared } = sandbox.record.spec
      const snapshot = partOf(await openSnapshot(snapshotDirectory), spec.name, shared)
      requireSameRights(snapshot, spec)
      if (shared && !sandbox.awaits.has(spec.name ?? ''))
        throw new RuntimeError('failed', `sandbox ${spec.sandboxId} does not wait for a container ${spec.name}`)
      const container = await blanks.whileRestoring(() => startOrRestore(spec, snapshot, signal))
      if (shared && sandbox.awaits.delete(spec.name ?? '')) await noteRestored(parts, sandbox, snapshot)
      return container
    },

    readSnapshot: async (directory) => snapshotOf(await openSnapshot(directory)),

    async checkpoint(sandboxId, checkpointOptions) {
      const sandbox = registry.sandbox(sandboxId)
      if (sandbox.checkpointing)
        throw new RuntimeError('failed', `a snapshot of sandbox ${sandboxId} is being made already`)
      sandbox.checkpointing = true
      try {
        const snapshot = await checkpointSandbox(parts, sandbox, checkpointOptions)
        await blanks.expect(snapshot.directory, checkpointOptions.leaveRunning ? FORKS_EXPECTED : 1)
        return snapshot
      } finally {
        sandbox.checkpointing = false
      }
    },

    resizeSandbox: (id, options) => resizeSandbox(parts, registry.sandbox(id), options),

    async stopContainer(id, { graceMs, signal = 'SIGTERM' }) {
      const { sandbox, entry } = registry.container(id)
      if (entry.state.phase !== 'running') return
      const number = constants.signals[signal]
      if (graceMs > 0 && (await endsOfSignal(parts, sandbox, { entry, signal: number, withinMs: graceMs }))) return
      await killContainer(parts, sandbox, entry)
    },

    async removeContainer(id) {
      const { sandbox, entry } = registry.container(id)
      if (entry.state.phase === 'running') throw new RuntimeError('failed', `container ${id} is running: stop it first`)
      await removeContainerEntry(parts, sandbox, entry)
      sandbox.containers.delete(id)
    },

    async removeSandbox(id) {
      const sandbox = registry.sandboxes.get(id)
      if (sandbox) await removeOnce(sandbox)
    },

    async list() {
      return [...registry.sandboxes.values()].map(sandboxView)
    },

    bounded: new Set((['memory', 'cpu', 'pids'] as const).filter((each) => parts.cgroups.controllers.has(each))),
    limitsProblem: unprivileged ? NO_LIMITS : undefined,

    usage: (id) => parts.cgroups.usage(id),

    async written(id) {
      const sandbox = registry.sandboxes.get(id)
      if (sandbox?.record.spec.handler !== 'runsc') return undefined
      const running = [sandbox.pause, ...sandbox.containers.values()].find((entry) => entry?.state.phase === 'running')
      const overlay = join(stateDirectory, 'overlay')
      return running?.state.phase === 'running' ? await writtenBytes(running.state.pid, overlay) : undefined
    },

    traffic: () => parts.network.traffic(),

    async get(id) {
      const sandbox = registry.sandboxes.get(id)
      return sandbox && sandboxView(sandbox)
    },

    async exec(containerId, exec) {
      const { sandbox, entry } = registry.container(containerId)
      if (entry.state.phase !== 'running')
        throw new RuntimeError('not-found', `container ${containerId} is not running`)
      return await executed(sandbox.record.spec.id, () => execInContainer(parts, sandbox, { entry, exec }))
    },

    async attach(containerId) {
      const expected = starting.get(containerId)
      if (expected) return await attachToStarting(monitor, { id: containerId, ...expected })
      const { entry } = registry.container(containerId)
      const socket = await monitor.open({ kind: 'attach', id: containerId })
      return openProcessStreams(socket, { tty: entry.spec.tty, stdin: entry.spec.stdin })
    },

    connect: (sandboxId, port, signal) =>
      connectToSandbox(parts, registry.sandbox(sandboxId), { port, signal, places: connected }),

    onExit: (listener) => registry.onExit(listener),

    async recover(signal) {
      await recoverSandboxes(parts, registry, stateDirectory)
      signal?.throwIfAborted()
      // Nobody waits for it, and what it cannot remove is the next one's.
      tidied = removeUnusedLayouts(parts, registry, stateDirectory).catch(() => {})
      return [...registry.sandboxes.values()].map(sandboxView)
    },

    async [Symbol.asyncDispose]() {
      // Nothing is written any more once we are gone.
      await prepare().catch(() => {})
      await tidied
      await blanks[Symbol.asyncDispose]()
      await parts.network.close()
      await parts.cgroups.close()
      await monitor.retire()
      await monitor[Symbol.asyncDispose]()
      await forgetEvents(shimEvents(stateDirectory))
    },
  }
  return runtime
}
