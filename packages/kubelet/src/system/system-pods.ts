/** A Pod that is a process of the cluster, as it is observed: what it runs is told, and nothing is left to be done for it. */
import type { PodObject } from '@caisson/client'
import { CONTAINER_ID_SCHEME } from '../pods/container-status.ts'
import {
  barePod,
  type ContainerRun,
  initContainers,
  isSidecar,
  type ObservedPod,
  specOf,
  statusesOf,
} from '../pods/observed-pod.ts'
import { type KnownEnd, pastRuns } from '../pods/past-runs.ts'
import type { ShownProcess, SystemProcessState } from './system-processes.ts'

/** What runs, whatever image such a Pod names. */
const IMAGE = 'caisson.dev/process'

export function observeSystemPod(pod: PodObject, { state, ip }: ShownProcess, hostIp: string): ObservedPod {
  const containers = [
    ...initContainers(pod).map((container) => ({ name: container.name, ends: !isSidecar(container) })),
    ...specOf(pod).containers.map(({ name }) => ({ name, ends: false })),
  ]
  const current = containers.map(({ name, ends }) => currentRun(pod, name, ends ? ended(state) : state))
  const ids = new Set(current.map(({ id }) => `${CONTAINER_ID_SCHEME}${id}`))
  const ready = state.phase === 'running' && state.ready
  return {
    ...barePod(pod, hostIp),
    sandbox: { id: pod.metadata.uid ?? '', attempt: 0, shared: true, alive: true, ip },
    runs: [...current, ...pastRuns(withoutCurrent(pod, ids), NO_ENDS)],
    health: new Map(current.map(({ id = '' }) => [id, { started: true, ready, failed: undefined }])),
  }
}

const NO_ENDS: ReadonlyMap<string, KnownEnd> = new Map()

function currentRun(pod: PodObject, name: string, state: SystemProcessState): ContainerRun {
  const id = `process-${state.pid}-${state.startedAt}-${name}`
  const status = statusesOf(pod).find((each) => each.name === name)
  const count = status?.restartCount ?? 0
  const isKnown = status?.containerID === undefined || status.containerID === `${CONTAINER_ID_SCHEME}${id}`
  return {
    id,
    name,
    past: false,
    restartCount: isKnown ? count : count + 1,
    image: IMAGE,
    imageId: '',
    state:
      state.phase === 'running'
        ? { phase: 'running', pid: state.pid, startedAt: state.startedAt }
        : { ...state, reason: state.exitCode === 0 ? 'completed' : 'error' },
    user: undefined,
    terminationMessage: undefined,
    backOffMs: 0,
  }
}

/** An init container that has done its work before the process was there. */
function ended({ pid, startedAt }: SystemProcessState): SystemProcessState {
  return { phase: 'exited', pid, startedAt, finishedAt: startedAt, exitCode: 0 }
}

/** What the status says of runs before the current ones: of those themselves only what it knows as their last. */
function withoutCurrent(pod: PodObject, ids: ReadonlySet<string>): PodObject {
  const containerStatuses = statusesOf(pod).map((status) =>
    ids.has(status.containerID ?? '') ? { ...status, state: {} } : status,
  )
  return { ...pod, status: { containerStatuses } }
}
