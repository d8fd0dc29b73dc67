/** Puts together what is known of a Pod. */
import type { PodObject } from '@caisson/client'
import type { Sandbox } from '@caisson/runtime'
import { CONTAINER_LABELS } from '../containers/container-spec.ts'
import type { ContainerRun, ObservedPod } from './observed-pod.ts'
import { pastRuns } from './past-runs.ts'
import type { PodMemory } from './pod-memory.ts'

/** What the runtime keeps for us about a sandbox. */
export const SANDBOX_LABELS = {
  uid: 'pod-uid',
  namespace: 'pod-namespace',
  name: 'pod-name',
  attempt: 'attempt',
  /** `true` where only what policies open gets in or out. */
  isolated: 'isolated',
  /** Why it has no network although its Pod should have one. */
  networkProblem: 'network-problem',
  /** Why it is not held to the limits that its Pod asks for. */
  limitsProblem: 'limits-problem',
  /** Why its volumes' files do not belong to whom they should. */
  ownersProblem: 'owners-problem',
  /** Which kernel parameters its Pod asks for in vain. */
  sysctlsProblem: 'sysctls-problem',
} as const

/** All but what is found out by asking its containers and measuring what it keeps. */
export type SeenPod = Omit<ObservedPod, 'health' | 'eviction' | 'activity' | 'limitsDue'>

export function observePod(
  memory: PodMemory,
  { pod, sandbox, hostIp }: { pod: PodObject | undefined; sandbox: Sandbox | undefined; hostIp: string },
): SeenPod {
  const present = sandbox ? sandbox.containers.flatMap((container) => runOf(container, memory)) : []
  const object = pod ?? memory.pod
  if (!memory.recalled && pod) {
    // What the API remembers counts once, for an agent that has just begun: afterwards it is what that agent wrote.
    const known = new Set(present.map(keyOf))
    memory.runs = pastRuns(pod, memory.ends).filter((run) => !known.has(keyOf(run)))
    memory.recalled = true
  }
  return {
    pod: object,
    orphaned: pod === undefined,
    sandbox: sandbox && {
      id: sandbox.spec.id,
      attempt: Number(sandbox.spec.labels[SANDBOX_LABELS.attempt] ?? 0),
      shared: sandbox.spec.shared,
      alive: sandbox.alive,
      ip: sandbox.ip,
      handler: sandbox.spec.handler,
      limits: sandbox.spec.limits,
      networkProblem: sandbox.spec.labels[SANDBOX_LABELS.networkProblem],
      limitsProblem: sandbox.spec.labels[SANDBOX_LABELS.limitsProblem],
      ownersProblem: sandbox.spec.labels[SANDBOX_LABELS.ownersProblem],
      sysctlsProblem: sandbox.spec.labels[SANDBOX_LABELS.sysctlsProblem],
    },
    nextAttempt: memory.nextAttempt,
    prepared: memory.volumes !== undefined,
    working: [...memory.work.values()].some(({ kind }) => kind === 'going-on'),
    refreshAt: memory.refreshAt,
    hasDirectory: memory.hasDirectory,
    runs: newestFirst([...present, ...memory.runs]),
    failures: memory.failures,
    pulling: new Set([...memory.images].flatMap(([name, { kind }]) => (kind === 'pulling' ? [name] : []))),
    stopping: memory.stopping,
    setback: memory.setback,
    resizeFailure: memory.resizeFailure,
    pendingResize: memory.pendingResize,
    hostIp,
  }
}

function keyOf({ name, restartCount }: ContainerRun): string {
  return `${name} ${restartCount}`
}

function newestFirst(runs: readonly ContainerRun[]): ContainerRun[] {
  return [...runs].sort((a, b) => b.restartCount - a.restartCount)
}

function runOf({ spec, state }: Sandbox['containers'][number], memory: PodMemory): ContainerRun[] {
  const name = spec.labels[CONTAINER_LABELS.name]
  if (name === undefined) return []
  const { uid, gid, additionalGids } = spec.user
  return [
    {
      id: spec.id,
      name,
      past: false,
      restartCount: Number(spec.labels[CONTAINER_LABELS.restartCount] ?? 0),
      image: spec.image,
      imageId: spec.labels[CONTAINER_LABELS.imageId] ?? '',
      state,
      user: { uid, gid, supplementalGroups: additionalGids },
      terminationMessage: memory.lastWords.get(spec.id),
      backOffMs: Number(spec.labels[CONTAINER_LABELS.backOff] ?? 0),
      limits: spec.limits,
      begunAgain: memory.restarting.has(spec.id),
    },
  ]
}
