/**
 * For property tests: a runtime whose containers are only remembered, so that thousands of histories can be played in a
 * second. What it holds outlives the agents that use it, as real containers do.
 */
import type { Container, ContainerSpec, Image, Runtime, Sandbox, SandboxSpec } from '@caisson/runtime'
import { RuntimeError } from '@caisson/runtime'

export interface ModelMachine {
  /** A new process's view of the machine. */
  open(): Runtime
  /** Ids of the containers that run. */
  running(): string[]
  /** Ends a container from within. */
  exit(containerId: string, exitCode: number): void
  /** Takes the isolation of a sandbox away, with everything in it. */
  kill(sandboxId: string): void
  /** Takes everything that is there away, and nobody sees it end. */
  reboot(): void
  /** How often containers were asked to stop, and how often that is still to fail. */
  stops: { asked: number; failures: number }
  /** Names of containers that no snapshot can be restored into. */
  unrestorable: Set<string>
  /** How often a sandbox that is there is still to stay where it is to go. */
  removals: { failures: number }
  sandboxes(): SandboxSpec[]
  /** Container names by sandbox that were running twice at once: there must never be any. */
  doubles: string[]
}

interface ModelSandbox {
  spec: SandboxSpec
  alive: boolean
  containers: Map<string, Container>
}

const NAME = 'name'
const MACHINE = { runtimeVersion: '', platform: '', architecture: 'amd64', cpuFeatures: '' }

export function createModelMachine(now: () => number): ModelMachine {
  const machine = new Map<string, ModelSandbox>()
  const listeners = new Set<(container: Container, sandbox: Sandbox) => void>()
  const doubles: string[] = []
  const stops = { asked: 0, failures: 0 }
  const removals = { failures: 0 }
  const unrestorable = new Set<string>()

  const view = ({ spec, alive, containers }: ModelSandbox): Sandbox => ({
    spec,
    alive,
    ip: '10.9.0.1',
    createdAt: 0,
    containers: [...containers.values()].map((container) => ({ ...container })),
  })

  function find(id: string): { sandbox: ModelSandbox; container: Container } {
    for (const sandbox of machine.values()) {
      const container = sandbox.containers.get(id)
      if (container) return { sandbox, container }
    }
    throw new RuntimeError('not-found', `there is no container ${id}`)
  }

  function end(id: string, exitCode: number): void {
    const { sandbox, container } = find(id)
    if (container.state.phase !== 'running') return
    const { startedAt } = container.state
    const reason = exitCode === 0 ? 'completed' : 'error'
    container.state = { phase: 'exited', exitCode, startedAt, finishedAt: now(), reason }
    for (const listener of listeners) listener({ ...container }, view(sandbox))
  }

  function start(spec: ContainerSpec): Container {
    const sandbox = machine.get(spec.sandboxId)
    if (!sandbox?.alive) throw new RuntimeError('not-found', `there is no sandbox ${spec.sandboxId}`)
    if (sandbox.containers.has(spec.id))
      throw new RuntimeError('already-exists', `container ${spec.id} is there already`)
    for (const other of sandbox.containers.values()) {
      if (other.state.phase === 'running' && other.spec.labels[NAME] === spec.labels[NAME]) doubles.push(spec.id)
    }
    const container: Container = { spec, state: { phase: 'running', pid: 1, startedAt: now() } }
    sandbox.containers.set(spec.id, container)
    return { ...container }
  }

  function open(): Runtime {
    const own = new Set<(container: Container, sandbox: Sandbox) => void>()
    const unsupported = () => Promise.reject(new Error('a model has no processes'))
    return {
      bounded: new Set(),
      limitsProblem: undefined,
      usage: async () => undefined,
      written: async () => undefined,
      traffic: async () => new Map(),
      images: {
        import: unsupported,
        pull: async (name) => ({ image: modelImage(name), isNew: false }),
        export: unsupported,
        push: unsupported,
        collect: async () => ({ removed: [], missingBytes: 0 }),
        list: async () => [],
        get: async (name) => modelImage(name),
        remove: async () => false,
        // All names are there from the beginning.
        onNamed: () => ({ [Symbol.dispose]: () => {} }),
        resolveUser: async () => ({ uid: 0, gid: 0, additionalGids: [] }),
      },
      network: { open: unsupported, place: () => undefined, change: async () => new Map() },
      handlers: async () => new Map(),
      async createSandbox(spec) {
        if (machine.has(spec.id)) throw new RuntimeError('already-exists', `sandbox ${spec.id} is there already`)
        const sandbox = { spec, alive: true, containers: new Map() }
        machine.set(spec.id, sandbox)
        return view(sandbox)
      },
      startContainer: async (spec) => start(spec),
      async stopContainer(id) {
        stops.asked++
        if (stops.failures-- > 0) throw new RuntimeError('failed', 'it cannot be asked')
        end(id, 143)
      },
      async resizeSandbox(id, { limits, containers }) {
        const sandbox = machine.get(id)
        if (!sandbox?.alive) throw new RuntimeError('not-found', `there is no sandbox ${id}`)
        sandbox.spec = { ...sandbox.spec, limits }
        for (const [container, own] of containers) {
          const found = sandbox.containers.get(container)
          if (found) found.spec = { ...found.spec, limits: own }
        }
      },
      async removeContainer(id) {
        find(id).sandbox.containers.delete(id)
      },
      async removeSandbox(id) {
        if (machine.has(id) && removals.failures-- > 0) throw new RuntimeError('failed', 'it cannot be taken away')
        for (const container of machine.get(id)?.containers.keys() ?? []) end(container, 137)
        machine.delete(id)
      },
      list: async () => [...machine.values()].map(view),
      async get(id) {
        const sandbox = machine.get(id)
        return sandbox && view(sandbox)
      },
      exec: unsupported,
      checkpoint: unsupported,
      readSnapshot: async (directory) => ({
        directory,
        createdAt: 0,
        sizeBytes: 0,
        digest: '',
        machine: MACHINE,
        images: [],
      }),
      async restoreContainer(spec) {
        const sandbox = machine.get(spec.sandboxId)
        if (sandbox?.spec.shared && sandbox.spec.snapshot === undefined)
          throw new RuntimeError('failed', `sandbox ${spec.sandboxId} does not wait for a container ${spec.name}`)
        if (unrestorable.has(spec.labels[NAME] ?? '')) throw new RuntimeError('failed', 'it cannot be restored')
        const container = start(spec)
        // None goes on before all are there.
        if (unrestorable.size > 0) find(spec.id).container.state = { phase: 'created' }
        return container
      },
      attach: unsupported,
      connect: unsupported,
      onExit(listener) {
        listeners.add(listener)
        own.add(listener)
        return { [Symbol.dispose]: () => void listeners.delete(listener) }
      },
      recover: async () => [...machine.values()].map(view),
      async [Symbol.asyncDispose]() {
        for (const listener of own) listeners.delete(listener)
      },
    }
  }

  return {
    open,
    doubles,
    stops,
    removals,
    unrestorable,
    running: () =>
      [...machine.values()].flatMap(({ alive, containers }) =>
        !alive
          ? []
          : [...containers.values()].filter(({ state }) => state.phase === 'running').map(({ spec }) => spec.id),
      ),
    exit: end,
    kill(id) {
      const sandbox = machine.get(id)
      if (!sandbox) return
      sandbox.alive = false
      // The first one that is heard of speaks for all: of the others nobody hears before their sandbox is gone.
      const first = [...sandbox.containers.values()].find(({ state }) => state.phase === 'running')
      if (first) end(first.spec.id, 137)
    },
    reboot: () => machine.clear(),
    sandboxes: () => [...machine.values()].map(({ spec }) => spec),
  }
}

function modelImage(name: string): Image {
  return {
    name,
    id: 'sha256:0',
    sizeBytes: 0,
    entrypoint: ['/main'],
    cmd: [],
    env: {},
    workingDir: '/',
    user: '',
    createdAt: 0,
    repoDigests: [],
    grant: 'everyone',
  }
}
