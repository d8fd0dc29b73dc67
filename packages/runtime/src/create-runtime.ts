/** Composes the runtime of one state directory. */
import { constants } from 'node:os'
import { join } from 'node:path'
import { openParts, type RuntimeOptions } from './open-parts.ts'
import type { Runtime } from './runtime.ts'
import { RuntimeError } from './runtime-error.ts'
import { beginSandbox } from './sandbox/begin-sandbox.ts'
import { checkpointSandbox } from './sandbox/checkpoint.ts'
import { connectToSandbox } from './sandbox/connect.ts'
import { createContainerStarts } from './sandbox/container-starts.ts'
import { endsOfSignal, execInContainer, killContainer, removeContainerEntry } from './sandbox/containers.ts'
import { newSandboxEntry, sandboxView } from './sandbox/entries.ts'
import { attachToStarting, openProcessStreams } from './sandbox/process-streams.ts'
import { recoverSandboxes, removeUnusedLayouts } from './sandbox/recover.ts'
import { createRegistry } from './sandbox/registry.ts'
import { removeSandbox } from './sandbox/remove-sandbox.ts'
import { resizeSandbox } from './sandbox/resize.ts'
import { createConnectionPlaces, createExecPlaces } from './sandbox/sandbox-places.ts'
import { shimEvents } from './sandbox/shim-driver.ts'
import { openSnapshot, partOf, requireSameRights, snapshotOf } from './sandbox/snapshot-files.ts'
import { validateSandboxSpec } from './sandbox/validate-spec.ts'
import { writtenBytes } from './sandbox/written-bytes.ts'
import { forgetEvents } from './shim/events.ts'

const NO_LIMITS =
  "a normal user's node has no control groups, so that no limit of memory, processors and processes is held. Run the node as root for limits"

/** Who keeps a sandbox that goes on makes copies of it. */
const FORKS_EXPECTED = 5

/** Opens the runtime of one state directory. One process at a time may have it open; containers outlive that process. */
export async function createRuntime(options: RuntimeOptions): Promise<Runtime> {
  const { stateDirectory, unprivileged = false } = options
  const registry = createRegistry()
  const { parts, blanks } = await openParts(options, registry)
  const { drivers, monitor } = parts
  let tidied: Promise<void> | undefined
  const starts = createContainerStarts(parts, registry, stateDirectory)
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
        await removeSandbox(parts, registry, sandbox)
        throw error
      }
      return sandboxView(sandbox)
    },

    startContainer: (spec, signal) => starts.start(spec, undefined, signal),

    async restoreContainer(spec, snapshotDirectory, signal) {
      // Refused before anything is made for it.
      const sandbox = registry.sandbox(spec.sandboxId)
      const { shared } = sandbox.record.spec
      const snapshot = partOf(await openSnapshot(snapshotDirectory), spec.name, shared)
      requireSameRights(snapshot, spec)
      if (shared && !sandbox.awaits.has(spec.name ?? ''))
        throw new RuntimeError('failed', `sandbox ${spec.sandboxId} does not wait for a container ${spec.name}`)
      return await blanks.whileRestoring(() => starts.start(spec, snapshot, signal))
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
      if (sandbox) await removeSandbox(parts, registry, sandbox)
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
      const starting = starts.underWay(containerId)
      if (starting) return await attachToStarting(monitor, { id: containerId, ...starting })
      const { entry } = registry.container(containerId)
      const socket = await monitor.open({ kind: 'attach', id: containerId })
      return openProcessStreams(socket, { tty: entry.spec.tty, stdin: entry.spec.stdin })
    },

    connect: (sandboxId, port, signal) =>
      connectToSandbox(parts, registry.sandbox(sandboxId), { port, signal, places: connected }),

    onExit: (listener) => registry.onExit(listener),

    async recover(signal, onError = throwError) {
      await recoverSandboxes(parts, registry, { stateDirectory, onError })
      signal?.throwIfAborted()
      // Nobody waits for it, and what it cannot remove is the next one's.
      tidied = removeUnusedLayouts(parts, registry, stateDirectory).catch(() => {})
      return [...registry.sandboxes.values()].map(sandboxView)
    },

    async [Symbol.asyncDispose]() {
      // Nothing is written any more once we are gone.
      await parts.prepare().catch(() => {})
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

function throwError(error: unknown): never {
  throw error
}
