/** How a container's probes stand: pure, so that every sequence of outcomes can be tried. */
import type { Container, Probe } from 'kubernetes-types/core/v1.d.ts'

export const PROBE_KINDS = ['startup', 'readiness', 'liveness'] as const
export type ProbeKind = (typeof PROBE_KINDS)[number]

export interface ProbeState {
  /** What the probe says of the container now; it changes only where a threshold is reached. */
  passes: boolean
  /** Same outcomes in a row, and which. */
  last: boolean | undefined
  run: number
}

export function probeOf(container: Container, kind: ProbeKind): Probe | undefined {
  return { startup: container.startupProbe, readiness: container.readinessProbe, liveness: container.livenessProbe }[
    kind
  ]
}

/** Alive until shown otherwise; started and ready not before it is shown. */
export function initialState(kind: ProbeKind): ProbeState {
  return { passes: kind === 'liveness', last: undefined, run: 0 }
}

export function afterOutcome(state: ProbeState, probe: Probe, passed: boolean): ProbeState {
  const run = state.last === passed ? state.run + 1 : 1
  const threshold = passed ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3)
  return { passes: run >= threshold ? passed : state.passes, last: passed, run }
}

/** Whether enough failures in a row say that the container is to be started again. */
export function hasFailed(state: ProbeState, probe: Probe): boolean {
  return state.last === false && state.run >= (probe.failureThreshold ?? 3)
}

/** A container's health as its Pod's plan and status need it. */
export interface ContainerHealth {
  /** Its startup probe has passed, and its postStart hook is done. */
  started: boolean
  ready: boolean
  /** Why it is to be stopped and, by the Pod's policy, started again. */
  failed: HealthFailure | undefined
}

export interface HealthFailure {
  /** What the event about its end says. */
  message: string
  /** The probe's own grace, instead of the Pod's. */
  graceSeconds: number | undefined
  /** What the container waits for afterwards, where that is more than its turn. */
  waiting: { reason: string; message: string } | undefined
}

/** Whether there is anything to find out about a container but whether it runs. */
export function isWatched(container: Container): boolean {
  return PROBE_KINDS.some((kind) => probeOf(container, kind)) || container.lifecycle?.postStart !== undefined
}

/** Of a container that runs and of which nothing is known yet. */
export function presumedHealth(container: Container): ContainerHealth {
  const started = !container.startupProbe && !container.lifecycle?.postStart
  return { started, ready: started && !container.readinessProbe, failed: undefined }
}
