import type { Container, ContainerSpec, ContainerState, Sandbox } from '../runtime.ts'
import type { Blank } from './blank.ts'
import { ociId, pauseContainerId } from './oci-ids.ts'
import type { SandboxRecord } from './state-files.ts'

/** A container as this process knows it. The one without a spec holds a shared sandbox open. */
export interface ContainerEntry {
  id: string
  /** What the OCI runtime calls it. */
  ociId: string
  spec: ContainerSpec | undefined
  directory: string
  /** Image that it runs on; empty for the process that holds a shared sandbox open. */
  imageId: string
  state: ContainerState
  exited: PromiseWithResolvers<void>
}

export interface SandboxEntry {
  record: SandboxRecord
  containers: Map<string, ContainerEntry>
  /** Absent where the sandbox is not shared. */
  pause: ContainerEntry | undefined
  /** Set while it is being taken away: nothing new may begin in it. */
  removing: Promise<void> | undefined
  /** Made ahead, waiting for the processes of a snapshot. */
  blank: Blank | undefined
  /** Names of the containers of a shared sandbox that are still to be restored; then all of them go on. */
  awaits: Set<string>
  /** One snapshot of it is made at a time. */
  checkpointing: boolean
}

/** What the OCI runtime calls the container whose sentry, or whose namespaces, a container runs in. */
export function rootOciId(
  sandbox: SandboxEntry,
  container: { ociId: string; spec: Pick<ContainerSpec, 'beside'> | undefined },
): string {
  if (sandbox.record.spec.shared) return ociId(pauseContainerId(sandbox.record.spec.id))
  const beside = container.spec?.beside
  return beside === undefined ? container.ociId : (sandbox.containers.get(beside)?.ociId ?? ociId(beside))
}

export function newSandboxEntry(record: SandboxRecord): SandboxEntry {
  return {
    record,
    containers: new Map(),
    pause: undefined,
    removing: undefined,
    blank: undefined,
    awaits: new Set(),
    checkpointing: false,
  }
}

export function newContainerEntry(
  id: string,
  directory: string,
  options: Pick<ContainerEntry, 'ociId' | 'spec' | 'state' | 'imageId'>,
): ContainerEntry {
  const entry: ContainerEntry = { id, directory, ...options, exited: Promise.withResolvers<void>() }
  if (options.state.phase === 'exited') entry.exited.resolve()
  return entry
}

export function containerView(spec: ContainerSpec, entry: ContainerEntry): Container {
  return { spec: structuredClone(spec), state: { ...entry.state } }
}

export function sandboxView(entry: SandboxEntry): Sandbox {
  return {
    spec: structuredClone(entry.record.spec),
    ip: entry.record.ip,
    createdAt: entry.record.createdAt,
    alive: entry.removing === undefined && holdsOpen(entry),
    containers: [...entry.containers.values()].flatMap((container) =>
      container.spec ? [{ ...containerView(container.spec, container), state: stateIn(entry, container) }] : [],
    ),
  }
}

/** What was restored stands still until all others of its sandbox are. */
function stateIn({ awaits }: SandboxEntry, { state }: ContainerEntry): ContainerState {
  return awaits.size > 0 && state.phase === 'running' ? { phase: 'created' } : { ...state }
}

/**
 * Whether a container could start in it. The end of a shared sentry is heard of from each of its containers, in any
 * order: the first one that says so speaks for all, or else a container would be restarted in a sentry that is gone.
 */
function holdsOpen({ pause, containers }: SandboxEntry): boolean {
  if (pause === undefined) return true
  if (pause.state.phase !== 'running') return false
  return ![...containers.values()].some(({ state }) => state.phase === 'exited' && state.reason === 'sentry-died')
}
