/** How a Sandbox that suspends by itself, its Pod's node and those who wake it understand each other. */
import type { Sandbox } from './sandbox.ts'

export const IDLE = {
  /** On Pods: after so many seconds in which nothing happens the node calls the Pod idle. */
  afterSeconds: 'caisson.dev/idle-after-seconds',
  /**
   * Condition of such Pods, written by their node, and of their Sandboxes: True once they are idle. False says when that
   * will be, as soon as half of the time has passed.
   */
  condition: 'caisson.dev/Idle',
  /** On Sandboxes: why they are suspended, where nobody asked for it. */
  suspendedBy: 'caisson.dev/suspended-by',
  /** On Sandboxes: the UID of the Pod and the time of its condition for which they were suspended last. */
  suspendedFor: 'caisson.dev/suspended-for',
} as const

export const IDLE_REASONS = {
  active: 'Active',
  quiet: 'Quiet',
  /** True, and the value of the annotation. */
  idle: 'Idle',
  /** The node does not say. */
  unknown: 'ActivityUnknown',
} as const

/** Whether a Sandbox sleeps because nothing happened in it: whoever wants something of it may wake it. */
export function isSuspendedForIdleness({ metadata, spec }: Sandbox): boolean {
  const suspended = spec.replicas === undefined ? spec.operatingMode === 'Suspended' : spec.replicas === 0
  return suspended && metadata.annotations?.[IDLE.suspendedBy] === IDLE_REASONS.idle
}

/** The merge patch that wakes a Sandbox, and the one that has it sleep; `Idle` where it does so by itself. */
export function operatingModePatch(
  { spec }: Sandbox,
  operatingMode: 'Running' | 'Suspended',
  suspendedBy: string | null = null,
): { metadata: { annotations: Record<string, string | null> }; spec: object } {
  return {
    metadata: { annotations: { [IDLE.suspendedBy]: suspendedBy } },
    spec: { operatingMode, ...(spec.replicas !== undefined && { replicas: operatingMode === 'Running' ? 1 : 0 }) },
  }
}
