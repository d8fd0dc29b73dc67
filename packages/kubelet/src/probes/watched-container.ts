/** One container that runs: its postStart hook, and a loop for each of its probes, until it ends or is given up. */
import { abortableDelay, type PodObject } from '@caisson/client'
import type { Container, Probe } from 'kubernetes-types/core/v1.d.ts'
import { formatPod } from '../pods/observed-pod.ts'
import type { PodEvents } from '../pods/pod-events.ts'
import type { ProbeOutcome } from './probe-outcome.ts'
import {
  afterOutcome,
  type ContainerHealth,
  type HealthFailure,
  hasFailed,
  initialState,
  PROBE_KINDS,
  type ProbeKind,
  type ProbeState,
  probeOf,
} from './probe-state.ts'
import type { ProbeTarget } from './probe-target.ts'
import { runHook } from './run-hook.ts'

export interface WatchContainerOptions {
  pod: PodObject
  container: Container
  target: ProbeTarget
  /** ms since the epoch. */
  startedAt: number
  /** What is known of it from before; undefined for one that has just begun, whose postStart hook is to run. */
  known: { started: boolean; ready: boolean } | undefined
  /** Whether the Pod's policy starts it again after a failure. */
  restarts: boolean
  events: PodEvents
  now: () => number
  /** Asks the container, in its turn. Rejects as soon as the signal is aborted, or as ProbeOutcome says. */
  ask(probe: Probe, signal: AbortSignal): Promise<ProbeOutcome>
  onChanged(): void
}

/** Disposing ends the watch, and changes nothing of the container. */
export interface WatchedContainer extends Disposable {
  health(): ContainerHealth
  /** It is being ended: it is asked no longer whether it lives, which a slow end would answer with no. */
  letGo(): void
}

export function watchContainer(options: WatchContainerOptions): WatchedContainer {
  const { pod, container, target, startedAt, known, events, now, ask, onChanged } = options
  const over = new AbortController()
  const { signal } = over
  const states = new Map<ProbeKind, ProbeState>()
  let failed: HealthFailure | undefined
  let letGo = false
  let hooked = known !== undefined || !container.lifecycle?.postStart
  const started = Promise.withResolvers<void>()

  for (const kind of PROBE_KINDS) {
    const probe = probeOf(container, kind)
    if (!probe) continue
    const passed = (kind === 'startup' && known?.started) || (kind === 'readiness' && known?.ready)
    states.set(kind, passed ? { passes: true, last: true, run: 1 } : initialState(kind))
    if (!(kind === 'startup' && passed)) void watch(kind, probe)
  }
  if (!hooked) void postStart()
  if (isStarted()) started.resolve()

  function isStarted(): boolean {
    return hooked && states.get('startup')?.passes !== false
  }

  function changed(): void {
    if (isStarted()) started.resolve()
    onChanged()
  }

  function fail(failure: HealthFailure): void {
    failed = failure
    end()
    onChanged()
  }

  function end(): void {
    over.abort()
    started.resolve()
  }

  async function postStart(): Promise<void> {
    try {
      await runHook(target, container.lifecycle?.postStart ?? {}, { pod: formatPod(pod), signal })
      hooked = true
      changed()
    } catch (error) {
      if (signal.aborted) return
      // What the hook printed may be a secret: the status has it, which fewer may read than events.
      const said = { type: 'Warning', reason: 'FailedPostStartHook', message: 'PostStartHook failed' } as const
      events.aboutContainer(pod, container, said)
      const waiting = { reason: 'PostStartHookError', message: (error as Error).message }
      fail({ message: 'FailedPostStartHook', graceSeconds: undefined, waiting })
    }
  }

  async function watch(kind: ProbeKind, probe: Probe): Promise<void> {
    const periodMs = (probe.periodSeconds ?? 10) * 1000
    const delayMs = (probe.initialDelaySeconds ?? 0) * 1000
    // From here on by a clock that nobody sets; a start that lies ahead was noted before somebody did.
    let due = performance.now() + Math.min(Math.max(startedAt + delayMs - now(), 0), delayMs)
    for (;;) {
      if (kind !== 'startup') await started.promise
      await until(due, signal)
      if (signal.aborted || isSpared(kind)) return
      // Turns that were missed are not made up for.
      due = performance.now() + periodMs
      const outcome = await ask(probe, signal).catch(() => undefined)
      if (!outcome || signal.aborted || isSpared(kind)) return
      note(kind, probe, outcome)
      // Once is enough for a container to have started.
      if (kind === 'startup' && states.get(kind)?.passes) return
    }
  }

  function isSpared(kind: ProbeKind): boolean {
    return letGo && kind !== 'readiness'
  }

  function note(kind: ProbeKind, probe: Probe, outcome: ProbeOutcome): void {
    announce(kind, outcome)
    // What could not be asked says nothing of the container.
    if (outcome.verdict === 'error') return
    const before = states.get(kind) ?? initialState(kind)
    const state = afterOutcome(before, probe, outcome.verdict !== 'failure')
    states.set(kind, state)
    if (kind !== 'readiness' && hasFailed(state, probe)) {
      const again = options.restarts ? ', will be restarted' : ''
      const message = `Container ${container.name} failed ${kind} probe${again}`
      fail({ message, graceSeconds: probe.terminationGracePeriodSeconds, waiting: undefined })
    } else if (state.passes !== before.passes) {
      changed()
    }
  }

  function announce(kind: ProbeKind, { verdict, message }: ProbeOutcome): void {
    if (verdict === 'success') return
    const name = `${kind[0]?.toUpperCase()}${kind.slice(1)} probe`
    const said = {
      warning: { reason: 'ProbeWarning', message: `${name} warning: ${message}` },
      failure: { reason: 'Unhealthy', message: `${name} failed: ${message}` },
      error: { reason: 'Unhealthy', message: `${name} errored and resulted in unknown state: ${message}` },
    }[verdict]
    events.aboutContainer(pod, container, { type: 'Warning', ...said })
  }

  /** Resolves at the moment of the clock that nobody sets, or as soon as the watch is over. */
  async function until(moment: number, over: AbortSignal): Promise<void> {
    const ms = moment - performance.now()
    if (ms > 0) await abortableDelay(ms, over).catch(() => {})
  }

  return {
    health: () => ({
      started: isStarted(),
      ready: isStarted() && failed === undefined && states.get('readiness')?.passes !== false,
      failed,
    }),
    letGo() {
      letGo = true
    },
    [Symbol.dispose]: end,
  }
}
