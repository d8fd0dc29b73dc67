import type { ExitNotice } from '../monitor/protocol.ts'
import { type Container, type ContainerSpec, type Sandbox } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { type ContainerEntry, containerView, type SandboxEntry, sandboxView } from './entries.ts'
import { readContainer } from './state-files.ts'

type ExitListener = (container: Container, sandbox: Sandbox) => void

export interface FoundContainer {
  sandbox: SandboxEntry
  entry: ContainerEntry & { spec: ContainerSpec }
}

/** Every sandbox that this process knows, and who wants to hear of exits. */
export interface Registry {
  sandboxes: Map<string, SandboxEntry>
  /** Throws a `RuntimeError` of code `not-found`. */
  sandbox(id: string): SandboxEntry
  /** Throws a `RuntimeError` of code `not-found`. */
  container(id: string): FoundContainer
  /** All of them, those that hold shared sandboxes open too. */
  containers(): ContainerEntry[]
  find(containerId: string): { sandbox: SandboxEntry; entry: ContainerEntry } | undefined
  recordExit(notice: ExitNotice): void
  /** Tells of an exit that was read from disk. */
  announce(sandbox: SandboxEntry, entry: ContainerEntry): void
  /** Reads from disk which containers have ended. */
  catchUp(): Promise<void>
  onExit(listener: ExitListener): Disposable
}

export function createRegistry(): Registry {
  const sandboxes = new Map<string, SandboxEntry>()
  const listeners = new Set<ExitListener>()
  /** Exits that nobody has heard of yet, because nobody listened. */
  let unheard: Array<[Container, Sandbox]> = []

  function find(id: string): { sandbox: SandboxEntry; entry: ContainerEntry } | undefined {
    for (const sandbox of sandboxes.values()) {
      const entry = sandbox.containers.get(id) ?? (sandbox.pause?.id === id ? sandbox.pause : undefined)
      if (entry) return { sandbox, entry }
    }
    return undefined
  }

  function announce(sandbox: SandboxEntry, entry: ContainerEntry): void {
    if (!entry.spec) return
    const exit: [Container, Sandbox] = [containerView(entry.spec, entry), sandboxView(sandbox)]
    if (listeners.size === 0) unheard.push(exit)
    for (const listener of listeners) listener(...exit)
  }

  function recordExit({ id, state }: ExitNotice): void {
    const found = find(id)
    if (!found || found.entry.state.phase === 'exited') return
    found.entry.state = state
    found.entry.exited.resolve()
    announce(found.sandbox, found.entry)
  }

  function containers(): ContainerEntry[] {
    return [...sandboxes.values()].flatMap((sandbox) => [
      ...sandbox.containers.values(),
      ...(sandbox.pause ? [sandbox.pause] : []),
    ])
  }

  return {
    sandboxes,
    containers,
    find,
    recordExit,
    announce,
    sandbox(id) {
      const sandbox = sandboxes.get(id)
      if (!sandbox) throw new RuntimeError('not-found', `there is no sandbox ${id}`)
      return sandbox
    },
    container(id) {
      const found = find(id)
      if (!found?.entry.spec) throw new RuntimeError('not-found', `there is no container ${id}`)
      return found as FoundContainer
    },
    async catchUp() {
      for (const entry of containers()) {
        if (entry.state.phase === 'exited') continue
        const { state } = await readContainer(entry.directory)
        if (state?.phase === 'exited') recordExit({ id: entry.id, state })
      }
    },
    onExit(listener) {
      listeners.add(listener)
      const missed = unheard
      unheard = []
      // Later, as the listener of an event expects: not before its registration has returned.
      for (const exit of missed) queueMicrotask(() => listener(...exit))
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
}
