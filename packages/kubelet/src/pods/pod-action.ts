/** What can be done for a Pod. */
import type { ResourceLimits } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import type { HealthFailure } from '../probes/probe-state.ts'

export type PodAction =
  /** Directories and volumes. */
  | { kind: 'prepare' }
  | { kind: 'create-sandbox'; attempt: number; shared: boolean }
  | { kind: 'start-container'; container: Container; restartCount: number; backOffMs: number }
  /** Does not wait for its end. `because` says why, where the Pod itself goes on. */
  | { kind: 'stop-container'; id: string; container: string; graceMs: number; because?: HealthFailure; again?: true }
  /** Other limits for the sandbox, and by their runtime ids for containers that run in it. */
  | { kind: 'resize'; id: string; limits: ResourceLimits; containers: ReadonlyMap<string, ResourceLimits> }
  /** Forgets a run that ended. */
  | { kind: 'remove-container'; id: string }
  /** Takes the sandbox away with what is left in it. */
  | { kind: 'remove-sandbox'; id: string }
  /** Takes the volumes away, not the logs. */
  | { kind: 'remove-volumes' }
