/** For tests: Pods and what is observed of them, with everything that a test does not speak of left out. */
import type { PodObject } from '@caisson/client'
import type { ContainerState } from '@caisson/runtime'
import type { Container, PodSpec, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { barePod, type ContainerRun, type ObservedPod } from './observed-pod.ts'
import { planPod } from './plan-pod.ts'
import type { PodAction } from './pod-action.ts'
import { podRejection } from './pod-admission.ts'

export const NOW = Date.UTC(2026, 0, 1, 12)
export const second = 1000

export function aPod(
  options: {
    spec?: Partial<PodSpec>
    status?: PodStatus
    deleted?: { graceSeconds: number }
    generation?: number
  } = {},
): PodObject {
  const { spec, status, deleted, generation } = options
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'web',
      namespace: 'default',
      uid: 'uid-1',
      ...(generation !== undefined && { generation }),
      ...(deleted && {
        deletionTimestamp: '2026-01-01T12:00:30Z',
        deletionGracePeriodSeconds: deleted.graceSeconds,
      }),
    },
    spec: { containers: [{ name: 'main', image: 'busybox' }], ...spec },
    ...(status && { status }),
  }
}

export function running(startedAt: number = NOW - 60 * second): ContainerState {
  return { phase: 'running', pid: 1, startedAt }
}

export function exited(exitCode: number, options: { at?: number; after?: number } = {}): ContainerState {
  const finishedAt = options.at ?? NOW - second
  return {
    phase: 'exited',
    exitCode,
    startedAt: finishedAt - (options.after ?? 5 * second),
    finishedAt,
    reason: exitCode === 0 ? 'completed' : 'error',
  }
}

export function aRun(state: ContainerState, fields: Partial<ContainerRun> = {}): ContainerRun {
  const { name = 'main', restartCount = 0 } = fields
  return {
    id: `uid-1-${name}-${restartCount}`,
    name,
    past: false,
    restartCount,
    image: 'docker.io/library/busybox:latest',
    imageId: 'sha256:1234',
    state,
    user: undefined,
    terminationMessage: undefined,
    backOffMs: 0,
    ...fields,
  }
}

export function observed(pod: PodObject, fields: Partial<ObservedPod> = {}): ObservedPod {
  return {
    ...barePod(pod, '192.0.2.1'),
    refusal: podRejection(pod),
    sandbox: { id: 'uid-1-0', attempt: 0, shared: false, alive: true, ip: '10.1.0.2' },
    hasDirectory: true,
    ...fields,
  }
}

export const main: Container = { name: 'main', image: 'busybox' }
export const other: Container = { name: 'other', image: 'busybox' }
export const setup: Container = { name: 'setup', image: 'busybox' }
export const migrate: Container = { name: 'migrate', image: 'busybox' }
export const proxy: Container = { name: 'proxy', image: 'busybox', restartPolicy: 'Always' }

/** An action in one line. */
function said(action: PodAction): string {
  switch (action.kind) {
    case 'start-container':
      return `start ${action.container.name} #${action.restartCount} then ${action.backOffMs / second} s`
    case 'stop-container':
      return `stop ${action.container} within ${action.graceMs / second} s`
    case 'create-sandbox':
      return `create ${action.shared ? 'shared ' : ''}sandbox ${action.attempt}`
    case 'resize':
      return `resize ${action.id} to ${JSON.stringify(action.limits)}, and ${[...action.containers.keys()].join(', ')}`
    case 'remove-container':
    case 'remove-sandbox':
      return `${action.kind} ${action.id}`
    case 'prepare':
    case 'remove-volumes':
      return action.kind
    default:
      return action satisfies never
  }
}

export interface Planned {
  does: string[]
  /** Seconds from now. */
  wakes?: number
  phase?: string | undefined
  is?: 'finished' | 'forgotten'
}

/** What is planned, for tables. */
export function plan(given: ObservedPod): Planned {
  const { actions, wakeAt, status, finished, forgotten } = planPod(given, NOW)
  return {
    does: actions.map(said),
    ...(wakeAt !== undefined && { wakes: (wakeAt - NOW) / second }),
    ...(status && { phase: status.phase }),
    ...((finished || forgotten) && { is: finished ? 'finished' : 'forgotten' }),
  }
}
