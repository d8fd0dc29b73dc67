/** Makes and removes the sandboxes of Pods. */
import { NETWORK_ANNOTATION } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { NetworkGate, PodAddress } from '@caisson/network'
import { type Runtime, RuntimeError, type Sandbox, type SandboxSpec } from '@caisson/runtime'
import { podHostname } from '../containers/host-files.ts'
import { sentrySysctls, sysctlsOf } from '../containers/sysctls.ts'
import type { PodDirectories } from '../pod-directories.ts'
import type { PodSources } from '../pod-sources.ts'
import type { Beginnings } from '../snapshots/beginnings.ts'
import { snapshotNameOf } from '../snapshots/snapshot-source.ts'
import { failureMessage } from './failure-message.ts'
import { SANDBOX_LABELS } from './observe-pod.ts'
import { type ContainerRun, type ObservedPod, specOf } from './observed-pod.ts'
import type { PodEvents } from './pod-events.ts'
import { podLimits } from './pod-limits.ts'
import type { PodMemory } from './pod-memory.ts'
import { WorkGoesOn } from './pod-work.ts'
import { problemLabels } from './problem-labels.ts'
import { refuseLessIsolation } from './refuse-isolation.ts'
import { handlerOf } from './runtime-handler.ts'
import { noteSetback } from './setbacks.ts'

const SANDBOX_RETRY = { first: 2_000, most: 60_000 }

export interface SandboxActionsOptions {
  runtime: Runtime
  network: NetworkGate
  sources: PodSources
  directories: PodDirectories
  events: PodEvents
  beginnings: Beginnings
  now: () => number
}

/** How a container ends whose sandbox ends under it. */
const KILLED = { exitCode: 137, reason: 'sentry-died', message: 'the sandbox ended under its container' } as const

interface NewSandbox {
  memory: PodMemory
  attempt: number
  shared: boolean
  /** Of the Pod's containers, that are known. */
  runs: readonly ContainerRun[]
  signal: AbortSignal
}

export interface SandboxActions {
  create(pod: PodObject, options: NewSandbox): Promise<void>
  remove(id: string, observed: ObservedPod, memory: PodMemory): Promise<void>
  /** Takes away what a creation that failed may have left: it could not be taken away then. */
  removeHalfMade(pod: PodObject, attempt: number): Promise<void>
}

const sandboxId = ({ metadata }: PodObject, attempt: number): string => `${metadata.uid}-${attempt}`

/** Nothing of the Pod has run yet: of what begins with a snapshot nothing does before all of its containers are there. */
function isFresh(pod: PodObject, runs: readonly ContainerRun[]): boolean {
  if (snapshotNameOf(pod) === undefined) return runs.length === 0
  return specOf(pod).containers.some(({ name }) => runs.every((run) => run.name !== name))
}

export function createSandboxActions(options: SandboxActionsOptions): SandboxActions {
  const { runtime, network, sources, directories, events, beginnings, now } = options

  async function create(pod: PodObject, { memory, attempt, shared, runs, signal }: NewSandbox): Promise<void> {
    const { uid = '', name = '', namespace = '' } = pod.metadata
    try {
      const found = await handlerOf(pod, { sources, fake: false })
      if (typeof found === 'string') throw new Error(found)
      refuseLessIsolation(pod, found.handler)
      const id = sandboxId(pod, attempt)
      await removeHalfMade(pod, attempt)
      const fresh = isFresh(pod, runs)
      // What was there of it has gone with its sandbox, and begins again as if it had never been.
      if (fresh) memory.runs = []
      const wanted = pod.metadata.annotations?.[NETWORK_ANNOTATION]
      const isolated = wanted === 'isolated'
      const { limits, problem: limitsProblem } = podLimits(pod, runtime)
      // What a sentry does not take the Pod's conditions tell.
      const sysctls = found.handler === 'runsc' ? sentrySysctls(pod) : sysctlsOf(pod)
      const spec: SandboxSpec = {
        id,
        handler: found.handler as 'runsc',
        hostname: podHostname(pod),
        network: { kind: wanted === 'none' ? 'none' : 'pod' },
        limits,
        sysctls,
        shared,
        ...(shared ? fresh && (await beginnings.ofShared(pod, memory.work)) : attempt === 0 && beginnings.toCome(pod)),
        labels: {
          [SANDBOX_LABELS.uid]: uid,
          [SANDBOX_LABELS.namespace]: namespace,
          [SANDBOX_LABELS.name]: name,
          [SANDBOX_LABELS.attempt]: String(attempt),
          ...(isolated && { [SANDBOX_LABELS.isolated]: 'true' }),
          ...problemLabels(pod, { sysctls, limitsProblem }),
        },
      }
      const sandbox = await createWithNetwork(spec, {
        publishesPorts: specOf(pod).containers.some(({ ports = [] }) => ports.some(({ hostPort }) => hostPort)),
        signal,
      })
      if (sandbox.ip !== undefined) await admit(pod, { uid, ip: sandbox.ip, isolated }, id)
      memory.sandboxId = id
      memory.nextAttempt = attempt + 1
      memory.setback = undefined
    } catch (error) {
      if (signal.aborted || error instanceof WorkGoesOn) return
      const message = failureMessage(error, directories)
      const waiting = { reason: 'FailedCreatePodSandBox', message }
      noteSetback(memory, { retry: SANDBOX_RETRY, now: now(), waiting })
      events.about(pod, {
        type: 'Warning',
        reason: 'FailedCreatePodSandBox',
        message: `Failed to create pod sandbox: ${message}`,
      })
    }
  }

  /** A machine that cannot have a network runs Pods without one, and says so: but those that nobody would reach then. */
  async function createWithNetwork(
    spec: SandboxSpec,
    { publishesPorts, signal }: { publishesPorts: boolean; signal: AbortSignal },
  ): Promise<Sandbox> {
    try {
      return await runtime.createSandbox(spec, signal)
    } catch (error) {
      if (!(error instanceof RuntimeError) || error.code !== 'network-missing' || publishesPorts) throw error
      const labels = { ...spec.labels, [SANDBOX_LABELS.networkProblem]: error.message }
      return await runtime.createSandbox({ ...spec, network: { kind: 'none' }, labels }, signal)
    }
  }

  async function admit(pod: PodObject, address: PodAddress, sandboxId: string): Promise<void> {
    try {
      await network.admit(pod, address)
    } catch (error) {
      network.leave(address.uid)
      await runtime.removeSandbox(sandboxId)
      throw error
    }
  }

  async function remove(id: string, { pod, runs, sandbox, orphaned }: ObservedPod, memory: PodMemory): Promise<void> {
    const ends = orphaned || pod.metadata.deletionTimestamp !== undefined
    if (sandbox?.alive === false && !ends) {
      events.about(pod, {
        type: 'Normal',
        reason: 'SandboxChanged',
        message: 'Pod sandbox changed, it will be killed and re-created.',
      })
    }
    await runtime.removeSandbox(id)
    network.leave(pod.metadata.uid ?? '')
    memory.sandboxId = undefined
    memory.stopping.clear()
    memory.restarting.clear()
    memory.begun.clear()
    memory.runs = runs.flatMap(pastRun)
  }

  /**
   * What ran in a sandbox that is gone is history that the runtime no longer tells. Of a sentry's end one container tells
   * first, and those that have not told by now ended with it: forgotten, they would run again as if they never had.
   */
  function pastRun(run: ContainerRun): ContainerRun[] {
    if (run.state.phase === 'exited') return [{ ...run, past: true }]
    if (run.state.phase !== 'running') return []
    const { startedAt } = run.state
    return [{ ...run, past: true, state: { phase: 'exited', ...KILLED, startedAt, finishedAt: now() } }]
  }

  async function removeHalfMade(pod: PodObject, attempt: number): Promise<void> {
    await runtime.removeSandbox(sandboxId(pod, attempt))
  }

  return { create, remove, removeHalfMade }
}
