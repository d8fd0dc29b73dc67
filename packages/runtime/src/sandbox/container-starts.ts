import type { Container, ContainerSpec } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { cancelStart } from './cancel-start.ts'
import { concealPaths } from './conceal-paths.ts'
import { killContainer, noteRestored, removeContainerEntry, startContainer } from './containers.ts'
import { containerView } from './entries.ts'
import type { Registry } from './registry.ts'
import type { RuntimeParts } from './runtime-parts.ts'
import type { StoredSnapshot } from './snapshot-files.ts'
import { readContainer } from './state-files.ts'
import { validateContainerSpec } from './validate-spec.ts'

/** A container that is being started. */
interface BegunStart {
  spec: ContainerSpec
  /** Settles as the start does. */
  begun: Promise<void>
}

export interface ContainerStarts {
  /** Starts a container, or restores it from a snapshot where one is given. What the error says names no path of ours. */
  start(spec: ContainerSpec, snapshot: StoredSnapshot | undefined, signal: AbortSignal | undefined): Promise<Container>
  /** Undefined where it is not being started. */
  underWay(containerId: string): BegunStart | undefined
}

export function createContainerStarts(
  parts: RuntimeParts,
  registry: Registry,
  stateDirectory: string,
): ContainerStarts {
  const { files } = parts
  const starting = new Map<string, BegunStart>()

  return {
    underWay: (containerId) => starting.get(containerId),
    async start(spec, snapshot, signal) {
      validateContainerSpec(spec)
      const sandbox = registry.sandbox(spec.sandboxId)
      if (sandbox.removing) throw new RuntimeError('not-found', `sandbox ${spec.sandboxId} is being removed`)
      if (registry.find(spec.id) || starting.has(spec.id)) {
        throw new RuntimeError('already-exists', `container ${spec.id} is there already`)
      }
      // A sentry ends where anything else is begun in it.
      if (!snapshot && sandbox.awaits.size > 0)
        throw new RuntimeError('failed', `sandbox ${spec.sandboxId} is being restored: wait until it goes on`)
      signal?.throwIfAborted()
      const begun = Promise.withResolvers<void>()
      // Only who attaches meanwhile asks.
      begun.promise.catch(() => {})
      starting.set(spec.id, { spec, begun: begun.promise })
      try {
        using _ = cancelStart(files.containerDirectory(spec.id), signal)
        const entry = await startContainer(parts, sandbox, structuredClone(spec), snapshot)
        sandbox.containers.set(spec.id, entry)
        const restored = sandbox.record.spec.shared ? snapshot : undefined
        try {
          // It may have ended before it could be looked up.
          const { state } = await readContainer(entry.directory)
          if (state?.phase === 'exited') registry.recordExit({ id: spec.id, state })
          signal?.throwIfAborted()
          if (restored) await noteRestored(parts, sandbox, { entry, snapshot: restored })
        } catch (error) {
          // Nobody was told that it is there. What was restored goes on with all others or not at all: all of them end, and
          // begin with the snapshot again.
          await killContainer(parts, sandbox, (restored && sandbox.pause) ?? entry)
          // What of it stays is taken away when it is made again: as one that has run it would begin without its memory.
          await removeContainerEntry(parts, sandbox, entry).finally(() => sandbox.containers.delete(spec.id))
          throw error
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
    },
  }
}
