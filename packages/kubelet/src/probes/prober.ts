/** Watches over the containers that run, Pod by Pod; what it finds is for the Pod's next pass, which it asks for. */
import { type Limited, limitConcurrency } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import { type Runtime, settlesWithin } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import {
  type ContainerRun,
  initContainers,
  isRunning,
  isSidecar,
  restartPolicyOf,
  specOf,
  statusesOf,
} from '../pods/observed-pod.ts'
import type { PodEvents } from '../pods/pod-events.ts'
import type { ProbeOutcome } from './probe-outcome.ts'
import { type ContainerHealth, isWatched } from './probe-state.ts'
import { runProbe } from './run-probe.ts'
import { type WatchedContainer, watchContainer } from './watched-container.ts'

export interface ProberOptions {
  runtime: Pick<Runtime, 'exec' | 'connect'>
  events: PodEvents
  now: () => number
  /** The health of a container of this Pod has changed. */
  onChanged(uid: string): void
  /** The address of this machine that Pods are asked from, so that it is not taken for traffic; any where there is none. */
  askFrom(): string | undefined
}

export interface ProbedPod {
  pod: PodObject
  sandboxId: string
  podIp: string | undefined
  runs: readonly ContainerRun[]
  /** Runtime ids of the containers that this agent started itself: the others have had their postStart hook. */
  begun: ReadonlySet<string>
}

export interface Prober extends Disposable {
  /**
   * Begins to watch what is new, forgets what no longer runs, and says how the others are, by runtime id. Containers
   * without probes and hooks are not in it.
   */
  follow(pod: ProbedPod): ReadonlyMap<string, ContainerHealth>
  forget(uid: string): void
}

/** To start a process in a sandbox takes 30 ms of a processor: probes must not keep the node from all else. */
const STARTS_AT_A_TIME = 8
/** After this long a process has been started, and only waits: somebody else may start one. */
const STARTING_MS = 1_000
/** Of one Pod: its probes that hang hold up its own, and nobody else's. */
const PROBES_OF_A_POD = 4

export function createProber({ runtime, events, now, onChanged, askFrom }: ProberOptions): Prober {
  const pods = new Map<string, Map<string, WatchedContainer>>()
  const limits = new Map<string, Limited>()
  const starts = limitConcurrency(STARTS_AT_A_TIME)

  /** Has a place while it begins. */
  async function started<T>(operation: () => Promise<T>, signal: AbortSignal): Promise<T> {
    let result: Promise<T> | undefined
    await starts(async () => {
      result = operation()
      // How it ends is for whoever asked; here only that it has begun.
      await settlesWithin(
        result.catch(() => undefined),
        STARTING_MS,
      )
    }, signal)
    return await (result as Promise<T>)
  }

  function limitOf(uid: string): Limited {
    const known = limits.get(uid) ?? limitConcurrency(PROBES_OF_A_POD)
    limits.set(uid, known)
    return known
  }

  function begin(probed: ProbedPod, container: Container, run: RunningRun): WatchedContainer {
    const { pod, sandboxId, podIp, begun } = probed
    const uid = pod.metadata.uid ?? ''
    const containerId = run.id
    return watchContainer({
      pod,
      container,
      target: { runtime, container, containerId, sandboxId, podIp, from: askFrom() },
      startedAt: run.state.startedAt,
      known: begun.has(containerId) ? undefined : knownFromStatus(pod, container.name, containerId),
      restarts: isSidecar(container) || restartPolicyOf(pod) !== 'Never',
      events,
      now,
      ask: (probe, signal) => {
        const asked = (): Promise<ProbeOutcome> =>
          runProbe({ runtime, container, containerId, sandboxId, podIp, from: askFrom(), over: signal }, probe)
        return limitOf(uid)(() => (probe.exec ? started(asked, signal) : asked()), signal)
      },
      onChanged: () => onChanged(uid),
    })
  }

  function forget(uid: string): void {
    for (const watched of pods.get(uid)?.values() ?? []) watched[Symbol.dispose]()
    pods.delete(uid)
    limits.delete(uid)
  }

  return {
    follow(probed) {
      const uid = probed.pod.metadata.uid ?? ''
      const before = pods.get(uid) ?? new Map<string, WatchedContainer>()
      const after = new Map<string, WatchedContainer>()
      for (const run of probed.runs.filter(isPresent)) {
        const container = containerOf(probed.pod, run.name)
        if (container && isWatched(container)) after.set(run.id, before.get(run.id) ?? begin(probed, container, run))
      }
      for (const [id, watched] of before) if (!after.has(id)) watched[Symbol.dispose]()
      if (after.size === 0) pods.delete(uid)
      else pods.set(uid, after)
      if (probed.pod.metadata.deletionTimestamp) for (const watched of after.values()) watched.letGo()
      return new Map([...after].map(([id, watched]) => [id, watched.health()]))
    },
    forget,
    [Symbol.dispose]() {
      for (const uid of pods.keys()) forget(uid)
    },
  }
}

type RunningRun = ContainerRun & { id: string; state: { phase: 'running' } }

function isPresent(run: ContainerRun): run is RunningRun {
  return isRunning(run) && run.id !== undefined && !run.past
}

function containerOf(pod: PodObject, name: string): Container | undefined {
  return [...specOf(pod).containers, ...initContainers(pod)].find((container) => container.name === name)
}

/** What an earlier agent found out about a container that it started. */
function knownFromStatus(pod: PodObject, name: string, id: string): { started: boolean; ready: boolean } {
  const status = statusesOf(pod).find((each) => each.name === name && each.containerID?.endsWith(`//${id}`))
  return { started: status?.started ?? false, ready: status?.ready ?? false }
}
