import type { OperatingMode, Sandbox, SandboxSnapshot } from '@caisson/api'
import type { WriteFailure } from '../engine/plan.ts'
import type { PersistentVolumeClaim, Pod, Service } from './objects.ts'

/** Everything that a Sandbox's plan depends on. */
export interface ObservedSandbox {
  sandbox: Sandbox
  /** Every Pod that this Sandbox controls, and the one that has the name its Pod should have, whoever controls that. */
  pods: readonly Pod[]
  /** The Service that has the Sandbox's name. */
  service: Service | undefined
  /** Those of the Sandbox's claims that exist, by name. */
  claims: ReadonlyMap<string, PersistentVolumeClaim>
  /** The snapshot that `fromSnapshot` names. */
  source: SandboxSnapshot | undefined
  /** The snapshot that has the name of the one that holds a suspended Sandbox's memory. */
  memory: SandboxSnapshot | undefined
  /** Why it is not known which snapshots there are; undefined where it is, and where the cluster has no such kind. */
  snapshotsUnknown?: string | undefined
  /** What the API server refused since the Sandbox's spec last changed and cannot accept, or refused just now. */
  failures: readonly WriteFailure[]
  /** Whether claims come one after another: each write is one that the next of them may wait for. */
  claimsComing?: boolean
}

/** An error that a plan found, or that a write of it ran into. */
export interface SandboxError {
  message: string
  permanent: boolean
}

/** `replicas`, where it is there, decides: a typed v1beta1 client cannot see it, and `operatingMode` has a default. */
export function operatingModeOf(sandbox: Sandbox): OperatingMode {
  const { replicas, operatingMode } = sandbox.spec
  if (replicas !== undefined) return replicas === 0 ? 'Suspended' : 'Running'
  return operatingMode === 'Suspended' ? 'Suspended' : 'Running'
}

/** The error that a write ran into, unless it ran into none. */
export function failureOf(observed: ObservedSandbox, id: string, context = ''): SandboxError | undefined {
  const failure = observed.failures.find((failure) => failure.id === id)
  return failure && { message: context + failure.message, permanent: failure.permanent }
}
