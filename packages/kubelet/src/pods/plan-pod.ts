/**
 * What is to be done for a Pod next. The plan names every step that can be taken now; whoever runs it observes again
 * afterwards and asks for the next one, until nothing is left to do but to wait.
 */
import type { EventInput } from '@caisson/client'
import type { Container, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import type { HealthFailure } from '../probes/probe-state.ts'
import { isTooSmall, startableEphemerals, wantsSharedSandbox } from './ephemeral-containers.ts'
import type { Eviction } from './observed-pod.ts'
import {
  type ContainerRun,
  hasExited,
  healthOf,
  initContainers,
  isRunning,
  isSidecar,
  isTerminalPhase,
  latestRun,
  type ObservedPod,
  restartPolicyOf,
  restarts,
  specOf,
} from './observed-pod.ts'
import { resizeSteps } from './plan-resize.ts'
import type { PodAction } from './pod-action.ts'
import { podStatus, rejectedStatus } from './pod-status.ts'
import { hasCome, nextBackOffMs, restartAt } from './restart-back-off.ts'

export interface PodPlan {
  actions: PodAction[]
  /** What the API is to know once there is nothing left to do. Undefined where the Pod is gone from it. */
  status: PodStatus | undefined
  /** To be said once that status is written, where it is the Pod's end and the node's doing. */
  event?: EventInput
  /** Nothing is left of the Pod on this node, and the API waits to hear it: the object can be deleted. */
  finished: boolean
  /** Nothing is left, and the API has forgotten the Pod: so can we. */
  forgotten: boolean
  /** Look again at this moment, ms since the epoch, whatever happens. */
  wakeAt: number | undefined
}

const DEADLINE_EXCEEDED: Eviction = {
  reason: 'DeadlineExceeded',
  message: 'Pod was active on the node longer than the specified deadline',
}

/** kubelet never gives a container less, so that one that is about to end is not killed. */
export const MINIMUM_GRACE_MS = 2_000
const DEFAULT_GRACE_SECONDS = 30

export function planPod(observed: ObservedPod, now: number): PodPlan {
  const { refusal } = observed
  if (refusal && !observed.sandbox && observed.runs.length === 0) return planRejection(observed, now, refusal)
  if (observed.orphaned || observed.pod.metadata.deletionTimestamp) return planEnd(observed, now, undefined)
  const { eviction } = observed
  if (eviction && !isTerminalPhase(observed.pod.status?.phase)) return planEnd(observed, now, eviction)
  const deadline = deadlineOf(observed)
  if (deadline !== undefined && now >= deadline) return planEnd(observed, now, DEADLINE_EXCEEDED)
  const status = podStatus(observed, { now, ending: false, eviction: undefined })
  if (isTerminalPhase(observed.pod.status?.phase) || isOver(observed, status)) return planEnd(observed, now, undefined)
  const { actions, wakeAt } = planRun(observed, now)
  return { actions, status, finished: false, forgotten: false, wakeAt: earliest(deadline, wakeAt) }
}

/** Nothing is ever begun for it, so that what is said of it is all there is to do. */
function planRejection(observed: ObservedPod, now: number, rejection: Eviction): PodPlan {
  const { pod, orphaned, hasDirectory } = observed
  const told = orphaned || isTerminalPhase(pod.status?.phase)
  const deleted = pod.metadata.deletionTimestamp !== undefined
  return {
    actions: hasDirectory ? [{ kind: 'remove-volumes' }] : [],
    status: told ? undefined : rejectedStatus(pod, rejection, now),
    event: { type: 'Warning', ...rejection },
    finished: told && deleted && !orphaned,
    forgotten: orphaned,
    wakeAt: undefined,
  }
}

/** Only sidecars are left, or nothing: the others have ended and are not started again. */
function isOver({ pod, runs }: ObservedPod, status: PodStatus): boolean {
  if (isTerminalPhase(status.phase)) return true
  // They were kept together: none of them goes on here.
  if (runs.some((run) => hasExited(run) && run.state.reason === 'checkpointed')) return true
  const failedInit = initContainers(pod).some((container) => {
    const run = runs.find(({ name }) => name === container.name)
    return !isSidecar(container) && hasExited(run) && run.state.exitCode !== 0 && restartPolicyOf(pod) === 'Never'
  })
  if (failedInit) return true
  return specOf(pod).containers.every((container) => {
    const run = runs.find(({ name }) => name === container.name)
    return hasExited(run) && !restarts(pod, container, run)
  })
}

function deadlineOf({ pod }: ObservedPod): number | undefined {
  const seconds = specOf(pod).activeDeadlineSeconds
  const start = pod.status?.startTime
  if (seconds === undefined || start === undefined || isTerminalPhase(pod.status?.phase)) return undefined
  return Date.parse(start) + seconds * 1000
}

interface Steps {
  actions: PodAction[]
  wakeAt?: number | undefined
}

function planRun(observed: ObservedPod, now: number): Steps {
  const { setback, sandbox, prepared } = observed
  if (observed.working) return { actions: [] }
  if (setback && !hasCome(setback.retryAt, now)) return { actions: [], wakeAt: setback.retryAt }
  const { refreshAt } = observed
  if (!prepared || (refreshAt !== undefined && now >= refreshAt)) return { actions: [{ kind: 'prepare' }] }
  if (!sandbox) {
    const shared = wantsSharedSandbox(observed)
    return { actions: [{ kind: 'create-sandbox', attempt: observed.nextAttempt, shared }] }
  }
  // Everything that ran in it is gone with it; and one in which nothing runs can take no container in but its own.
  if (!sandbox.alive || isTooSmall(observed)) return { actions: [{ kind: 'remove-sandbox', id: sandbox.id }] }
  const resize = resizeSteps(observed, { now, graceMs: graceOf(observed) })
  const steps = planContainers(observed, now)
  return {
    actions: [...resize.actions, ...steps.actions],
    wakeAt: earliest(earliest(steps.wakeAt, resize.wakeAt), refreshAt),
  }
}

function planContainers(observed: ObservedPod, now: number): Steps {
  const { pod } = observed
  const actions: PodAction[] = outlivedRuns(observed)
  let wakeAt: number | undefined
  function consider(container: Container): 'started' | 'waiting' {
    const run = latestRun(observed, container.name)
    if (isRunning(run)) {
      const { started, failed } = healthOf(observed, container, run)
      if (failed) actions.push(...stopFailed(observed, run, failed))
      return started ? 'started' : 'waiting'
    }
    // It was restored, and goes on with the others.
    if (run?.state.phase === 'created') return 'waiting'
    // The end of the pull is an event of its own.
    if (observed.pulling.has(container.name)) return 'waiting'
    const at = startAt(observed, container, run)
    if (hasCome(at, now)) actions.push(startContainer(container, run))
    else wakeAt = earliest(wakeAt, at)
    return 'waiting'
  }

  for (const container of startableEphemerals(observed)) {
    if (!isRunning(latestRun(observed, container.name))) consider(container)
  }
  const begun = specOf(pod).containers.some(({ name }) => latestRun(observed, name)?.past === false)
  for (const container of initContainers(pod)) {
    const run = latestRun(observed, container.name)
    const done = hasExited(run) && !run.past && !restarts(pod, container, run)
    if (begun) {
      // The others have done their work; that their runs may be forgotten does not undo it.
      if (isSidecar(container)) consider(container)
      continue
    }
    if (isSidecar(container) ? consider(container) === 'started' : done) continue
    // One after the other: what follows waits for this one.
    if (!isSidecar(container)) consider(container)
    return { actions, wakeAt }
  }
  for (const container of specOf(pod).containers) {
    const run = latestRun(observed, container.name)
    if (hasExited(run) && !restarts(pod, container, run)) continue
    consider(container)
  }
  return { actions, wakeAt }
}

/** Once: its exit is an event of its own. */
function stopFailed(observed: ObservedPod, run: ContainerRun, because: HealthFailure): PodAction[] {
  if (run.id === undefined || observed.stopping.has(run.id)) return []
  const graceMs = because.graceSeconds === undefined ? graceOf(observed) : graceMsOf(because.graceSeconds)
  return [{ kind: 'stop-container', id: run.id, container: run.name, graceMs, because }]
}

/** When a container that does not run may be started; 0 for at once. */
function startAt(observed: ObservedPod, container: Container, run: ContainerRun | undefined): number {
  const failure = observed.failures.get(container.name)
  return Math.max(failure?.retryAt ?? 0, hasExited(run) ? restartAt(run) : 0)
}

function startContainer(container: Container, run: ContainerRun | undefined): PodAction {
  return {
    kind: 'start-container',
    container,
    restartCount: run ? run.restartCount + 1 : 0,
    backOffMs: nextBackOffMs(hasExited(run) ? run : undefined),
  }
}

/** Runs before the last but one: that one's end is still shown, and its log kept. */
function outlivedRuns({ runs }: ObservedPod): PodAction[] {
  const seen = new Map<string, number>()
  return runs.flatMap((run): PodAction[] => {
    const newer = seen.get(run.name) ?? 0
    seen.set(run.name, newer + 1)
    return newer >= 2 && run.id !== undefined && hasExited(run) ? [{ kind: 'remove-container', id: run.id }] : []
  })
}

/** Brings the Pod to its end: stops what runs, says how it ended, and takes away what it had. */
function planEnd(observed: ObservedPod, now: number, eviction: Eviction | undefined): PodPlan {
  const { pod, sandbox, hasDirectory, orphaned } = observed
  const deleted = pod.metadata.deletionTimestamp !== undefined
  const status = orphaned ? undefined : podStatus(observed, { now, ending: true, eviction })
  const plan = {
    status,
    ...(eviction && { event: { type: eviction === DEADLINE_EXCEEDED ? 'Normal' : 'Warning', ...eviction } as const }),
    finished: false,
    forgotten: false,
    wakeAt: undefined,
  }
  const stops = stopActions(observed, now)
  if (stops.length > 0) return { ...plan, actions: stops }
  if (observed.runs.some(isRunning)) return { ...plan, actions: [] }
  // How the containers ended is known from the sandbox alone, until the API knows it.
  const told = orphaned || isTerminalPhase(pod.status?.phase)
  if (!told) return { ...plan, actions: [] }
  const keepUntil = deleted || orphaned ? undefined : firstClientUntil(observed)
  if (keepUntil !== undefined && !hasCome(keepUntil, now))
    return { ...plan, status: undefined, actions: [], wakeAt: keepUntil }
  const actions: PodAction[] = []
  if (sandbox) actions.push({ kind: 'remove-sandbox', id: sandbox.id })
  if (hasDirectory) actions.push({ kind: 'remove-volumes' })
  const nothingLeft = actions.length === 0
  // What the API was told about a Pod's end stays as it is.
  const final = { ...plan, status: undefined }
  return { ...final, actions, finished: nothingLeft && deleted && !orphaned, forgotten: nothingLeft && orphaned }
}

/**
 * A container with `stdinOnce` was made for one client, whose output is kept for it. A command of a few milliseconds is
 * over before that client has reached it, so what it left stays for a while.
 */
const FIRST_CLIENT_MS = 10_000

function firstClientUntil({ pod, runs }: ObservedPod): number | undefined {
  const awaited = new Set(
    specOf(pod)
      .containers.filter(({ stdinOnce }) => stdinOnce)
      .map(({ name }) => name),
  )
  const ends = runs.flatMap((run) =>
    awaited.has(run.name) && hasExited(run) && !run.past ? [run.state.finishedAt] : [],
  )
  return ends.length === 0 ? undefined : Math.max(...ends) + FIRST_CLIENT_MS
}

function stopActions(observed: ObservedPod, now: number): PodAction[] {
  const { pod, stopping } = observed
  const graceMs = graceOf(observed)
  const running = observed.runs.filter(isRunning)
  const mains = new Set(specOf(pod).containers.map(({ name }) => name))
  const sidecars = initContainers(pod)
    .filter(isSidecar)
    .map(({ name }) => name)
  // Sidecars serve the others until these are gone, and go in the reverse of their order.
  const others = running.filter(({ name }) => mains.has(name) || !sidecars.includes(name))
  const lastSidecar = sidecars.findLast((name) => running.some((run) => run.name === name))
  const next = others.length > 0 ? others : running.filter(({ name }) => name === lastSidecar)
  return next.flatMap((run): PodAction[] =>
    // Asked again only where the grace has become shorter.
    run.id === undefined || now + graceMs >= (stopping.get(run.id) ?? Number.POSITIVE_INFINITY)
      ? []
      : [{ kind: 'stop-container', id: run.id, container: run.name, graceMs }],
  )
}

function graceOf({ pod, orphaned }: ObservedPod): number {
  if (orphaned) return MINIMUM_GRACE_MS
  const seconds =
    pod.metadata.deletionGracePeriodSeconds ?? specOf(pod).terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS
  return graceMsOf(seconds)
}

function graceMsOf(seconds: number): number {
  return Math.max(seconds * 1000, MINIMUM_GRACE_MS)
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b
  return b === undefined ? a : Math.min(a, b)
}
