/** What keeps a Pod's containers from running, in one sentence: why a Sandbox does not become ready, or has failed. */
import type { ContainerStateTerminated, ContainerStatus } from 'kubernetes-types/core/v1.d.ts'
import type { Pod } from './objects.ts'

export interface ContainerError {
  /** `container "main"`, `init container "setup"`. */
  container: string
  reason: string | undefined
  message: string
  /** The kubelet waits before it tries again, and says only that. */
  backOff: boolean
}

/** Waiting for these is how every start goes. */
const NORMAL = new Set([undefined, '', 'ContainerCreating', 'PodInitializing'])

/** Why its node evicted the Pod, else the first container that is in trouble: init containers first, as they run first. */
export function containerError(pod: Pod): ContainerError | undefined {
  const { phase, reason, message = '', initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {}
  // How its containers ended says less: by the signal that it sent them.
  if (phase === 'Failed' && reason === 'Evicted')
    return { container: 'Pod', reason, message: message.trim() || 'evicted by its node', backOff: false }
  for (const status of initContainerStatuses) {
    const error = errorOf(status, 'init container', phase)
    if (error) return error
  }
  for (const status of containerStatuses) {
    const error = errorOf(status, 'container', phase)
    if (error) return error
  }
  return undefined
}

function errorOf(status: ContainerStatus, kind: string, phase: string | undefined): ContainerError | undefined {
  const container = `${kind} "${status.name}"`
  const { waiting, terminated } = status.state ?? {}
  if (terminated && phase === 'Failed' && terminated.exitCode !== 0) {
    return { container, reason: terminated.reason, message: exited(terminated), backOff: false }
  }
  if (!waiting || NORMAL.has(waiting.reason)) return undefined
  const last = status.lastState?.terminated
  if (last && waiting.reason === 'CrashLoopBackOff') {
    // Its own message counts the seconds: that would be a new one each time.
    return { container, reason: waiting.reason, message: exited(last), backOff: false }
  }
  const backOff = waiting.reason?.endsWith('BackOff') ?? false
  return { container, reason: waiting.reason, message: waiting.message || (waiting.reason ?? ''), backOff }
}

function exited({ exitCode, signal, reason, message }: ContainerStateTerminated): string {
  const how = signal ? `was ended by signal ${signal}` : `exited with ${exitCode}`
  const why = reason && reason !== 'Error' ? ` (${reason})` : ''
  return `${how}${why}${message ? `: ${message.trim()}` : ''}`
}
