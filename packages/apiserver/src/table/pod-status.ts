/** READY, STATUS and RESTARTS of a Pod: what `kubectl get pods` says of it. */
import type { KubeObject } from '@caisson/api'
import type { ContainerStatus, Pod } from 'kubernetes-types/core/v1.js'

export interface PodSummary {
  ready: number
  total: number
  status: string
  restarts: number
  /** When the last container that was restarted had ended, RFC 3339. */
  lastRestart: string | undefined
}

// Several columns are made of one summary, and stored objects never change.
const summaries = new WeakMap<KubeObject, PodSummary>()

export function podSummary(object: KubeObject): PodSummary {
  let summary = summaries.get(object)
  if (!summary) {
    summary = summarize(object as unknown as Pod)
    summaries.set(object, summary)
  }
  return summary
}

const COMPLETED = {
  Succeeded: [
    { type: 'Completed', status: 'True', reason: 'Succeeded', message: 'The pod has completed successfully.' },
  ],
  Failed: [{ type: 'Completed', status: 'True', reason: 'Failed', message: 'The pod failed.' }],
} as const

/** Marks the rows of Pods that are done. */
export function podRowConditions(object: KubeObject): (typeof COMPLETED)['Failed' | 'Succeeded'] | undefined {
  const { phase } = (object as unknown as Pod).status ?? {}
  return phase === 'Succeeded' || phase === 'Failed' ? COMPLETED[phase] : undefined
}

function summarize(pod: Pod): PodSummary {
  const { spec, status = {}, metadata } = pod
  const sidecars = new Set(spec?.initContainers?.flatMap((c) => (c.restartPolicy === 'Always' ? [c.name] : [])))
  const summary: PodSummary = {
    ready: 0,
    total: (spec?.containers?.length ?? 0) + sidecars.size,
    status: status.reason || (status.phase ?? ''),
    restarts: 0,
    lastRestart: undefined,
  }
  for (const { type, reason } of status.conditions ?? []) {
    if (type === 'PodScheduled' && reason === 'SchedulingGated') summary.status = reason
  }
  const initializing = summarizeInitContainers(pod, sidecars, summary)
  const initialized = status.conditions?.some(({ type, status: is }) => type === 'Initialized' && is === 'True')
  if (!initializing || initialized) summarizeContainers(pod, sidecars, summary)
  if (metadata?.deletionTimestamp) {
    if (status.reason === 'NodeLost') summary.status = 'Unknown'
    else if (status.phase !== 'Failed' && status.phase !== 'Succeeded') summary.status = 'Terminating'
  }
  return summary
}

/** Returns whether init containers are what the Pod waits for. */
function summarizeInitContainers({ spec, status }: Pod, sidecars: ReadonlySet<string>, summary: PodSummary): boolean {
  for (const [index, container] of (status?.initContainerStatuses ?? []).entries()) {
    countRestarts(container, summary)
    const { terminated, waiting } = container.state ?? {}
    if (terminated?.exitCode === 0) continue
    if (sidecars.has(container.name) && container.started) {
      if (container.ready) summary.ready++
      continue
    }
    if (terminated) {
      summary.status = `Init:${terminated.reason || exitOf(terminated)}`
    } else if (waiting?.reason && waiting.reason !== 'PodInitializing') summary.status = `Init:${waiting.reason}`
    else summary.status = `Init:${index}/${spec?.initContainers?.length ?? 0}`
    return true
  }
  return false
}

function summarizeContainers({ status }: Pod, sidecars: ReadonlySet<string>, summary: PodSummary): void {
  // Restarts of init containers are forgotten once those are through; sidecars go on and count.
  summary.restarts = 0
  summary.lastRestart = undefined
  for (const container of status?.initContainerStatuses ?? []) {
    if (sidecars.has(container.name)) countRestarts(container, summary)
  }
  let running = false
  for (const container of [...(status?.containerStatuses ?? [])].reverse()) {
    countRestarts(container, summary)
    const { waiting, terminated } = container.state ?? {}
    if (waiting?.reason) summary.status = waiting.reason
    else if (terminated) summary.status = terminated.reason || exitOf(terminated)
    else if (container.ready && container.state?.running) {
      running = true
      summary.ready++
    }
  }
  if (summary.status !== 'Completed' || !running) return
  const ready = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')
  summary.status = ready ? 'Running' : 'NotReady'
}

function exitOf(terminated: { signal?: number; exitCode: number }): string {
  return terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`
}

function countRestarts(container: ContainerStatus, summary: PodSummary): void {
  summary.restarts += container.restartCount ?? 0
  const ended = container.lastState?.terminated?.finishedAt
  if (ended && (!summary.lastRestart || summary.lastRestart < ended)) summary.lastRestart = ended
}
