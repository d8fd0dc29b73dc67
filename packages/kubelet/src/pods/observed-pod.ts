/** What is known of a Pod when it is planned: the API object, the runtime, and what went wrong lately. */
import type { PodObject } from '@caisson/client'
import type { ContainerState, ResourceLimits, RuntimeHandler } from '@caisson/runtime'
import type { Container, ContainerStatus, EphemeralContainer, PodSpec } from 'kubernetes-types/core/v1.d.ts'
import type { ActivityState } from '../activity/activity-state.ts'
import { type ContainerHealth, presumedHealth } from '../probes/probe-state.ts'

/** Why the node brings a Pod to its end although its containers would go on. */
export interface Eviction {
  reason: string
  message: string
}

/** One run of a container, as the runtime or the API's status remembers it. */
export interface ContainerRun {
  /** Of the runtime; undefined for a run that never came to be there, or of which only the status is left. */
  id: string | undefined
  name: string
  /** It ran in an earlier sandbox, or is known from the status alone: it counts as history, not as what the sandbox holds. */
  past: boolean
  restartCount: number
  /** Normalised name, and digest, of the image that it runs. */
  image: string
  imageId: string
  state: ContainerState
  user: { uid: number; gid: number; supplementalGroups: number[] } | undefined
  /** What the container had to say at its end; undefined before that, and where it said nothing. */
  terminationMessage: string | undefined
  /** ms after its end before it may be started again, unless it ran for long. */
  backOffMs: number
  /** What it is held to; undefined of one of which only the status is left. */
  limits?: ResourceLimits | undefined
  /** It was stopped so that it begins again, whatever its exit code. */
  begunAgain?: boolean
}

/** Why a container could not be started, or not yet again: what its status waits for. */
export interface StartFailure {
  /** ErrImagePull, CreateContainerConfigError … */
  reason: string
  message: string
  /** When it is tried again, ms since the epoch. */
  retryAt: number
}

/** Why a Pod cannot get to its containers. */
export interface PodSetback {
  retryAt: number
  /** What its containers wait for, where that is more than the usual. */
  waiting?: { reason: string; message: string }
}

export interface ObservedSandbox {
  id: string
  attempt: number
  /** Made for several containers; into one that is not others come beside the container that it was made for. */
  shared: boolean
  /** False once its isolation is gone: then everything in it is. */
  alive: boolean
  ip: string | undefined
  /** What runs it; undefined where nothing does. */
  handler?: RuntimeHandler | undefined
  /** What all of it is held to. */
  limits?: ResourceLimits | undefined
  /** Why it has no network although the Pod should have one. */
  networkProblem?: string | undefined
  limitsProblem?: string | undefined
  ownersProblem?: string | undefined
  sysctlsProblem?: string | undefined
}

/** Why what is asked for is not granted, in kubelet's words. */
export interface PendingResize {
  reason: 'Deferred' | 'Infeasible'
  message: string
}

/** Limits that are granted and not in force. */
export interface LimitsDue {
  /** Of the sandbox. */
  limits: ResourceLimits
  /** By runtime id: of containers that take them while they run. */
  containers: ReadonlyMap<string, ResourceLimits>
  /** Runs that have to end, and begin again with others. */
  restarts: readonly ContainerRun[]
}

export interface ObservedPod {
  pod: PodObject
  /** The object is gone from the API: what is left of the Pod is to go too. */
  orphaned: boolean
  /** The newest one. */
  sandbox: ObservedSandbox | undefined
  /** Of the sandbox that would be made next; each has its own. */
  nextAttempt: number
  /** The directories and volumes are in place and up to date. */
  prepared: boolean
  /** Work that its start needs goes on beside its passes, and has it looked at again. */
  working?: boolean
  /** When the volumes are to be brought up to date although nothing changed, ms since the epoch. */
  refreshAt: number | undefined
  /** Something of the Pod's is on the disk besides its logs. */
  hasDirectory: boolean
  /** The newest first for each name. */
  runs: readonly ContainerRun[]
  /** By container name. */
  failures: ReadonlyMap<string, StartFailure>
  /** Names of containers whose image is on its way. */
  pulling: ReadonlySet<string>
  /** What probes and hooks say of containers that run, by runtime id; of the others there is nothing to say. */
  health: ReadonlyMap<string, ContainerHealth>
  /** Containers that were asked to stop, by runtime id: when they are killed, ms since the epoch. */
  stopping: ReadonlyMap<string, number>
  setback: PodSetback | undefined
  /** Why the node does not take it, where nothing of it was begun. */
  refusal?: Eviction | undefined
  /** What the node ends the Pod for. */
  eviction: Eviction | undefined
  /** Whether something happens in it, where it wants that to be known. */
  activity?: ActivityState | undefined
  /** Limits that were granted and are not in force yet. */
  limitsDue?: LimitsDue | undefined
  /** Why the last try to have them in force failed. */
  resizeFailure?: { message: string; retryAt: number } | undefined
  /** Why what the API asks for is not granted. */
  pendingResize?: PendingResize | undefined
  /** Of this node. */
  hostIp: string
}

/** A Pod of which nothing is here, and for which nothing is left to be done. */
export function barePod(pod: PodObject, hostIp: string): ObservedPod {
  return {
    pod,
    orphaned: false,
    sandbox: undefined,
    nextAttempt: 1,
    prepared: true,
    refreshAt: undefined,
    hasDirectory: false,
    runs: [],
    failures: new Map(),
    pulling: new Set(),
    health: new Map(),
    stopping: new Map(),
    setback: undefined,
    eviction: undefined,
    hostIp,
  }
}

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never'

export function specOf(pod: PodObject): PodSpec {
  // The API server lets no Pod in without one.
  return pod.spec as PodSpec
}

export function initContainers(pod: PodObject): readonly Container[] {
  return specOf(pod).initContainers ?? []
}

/** What somebody puts into a Pod that runs, to look into it: each runs once at most. */
export function ephemeralContainers(pod: PodObject): readonly EphemeralContainer[] {
  return specOf(pod).ephemeralContainers ?? []
}

/** All that a Pod can have. */
export function allContainers(pod: PodObject): readonly Container[] {
  return [...initContainers(pod), ...specOf(pod).containers, ...ephemeralContainers(pod)]
}

export function findContainer(pod: PodObject, name: string): Container | undefined {
  return allContainers(pod).find((container) => container.name === name)
}

export function isEphemeral(pod: PodObject, { name }: Pick<Container, 'name'>): boolean {
  return ephemeralContainers(pod).some((container) => container.name === name)
}

/** An init container that goes on running beside the others. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always'
}

export function restartPolicyOf(pod: PodObject): RestartPolicy {
  return (specOf(pod).restartPolicy as RestartPolicy | undefined) ?? 'Always'
}

export function latestRun(observed: ObservedPod, name: string): ContainerRun | undefined {
  return observed.runs.find((run) => run.name === name)
}

export function isRunning(run: ContainerRun | undefined): run is ContainerRun & { state: { phase: 'running' } } {
  return run?.state.phase === 'running'
}

export function hasExited(run: ContainerRun | undefined): run is ContainerRun & { state: { phase: 'exited' } } {
  return run?.state.phase === 'exited'
}

/** Whether a container that ended like this is started again, by the Pod's policy or, for a sidecar, its own. */
export function restarts(
  pod: PodObject,
  container: Container,
  run: ContainerRun & { state: { phase: 'exited' } },
): boolean {
  // What was kept goes on elsewhere: twice would be once too often.
  if (run.state.reason === 'checkpointed' || isEphemeral(pod, container)) return false
  const isInit = initContainers(pod).includes(container)
  if (run.begunAgain || (isInit && isSidecar(container))) return true
  const policy = restartPolicyOf(pod)
  if (policy === 'Never') return false
  // An init container that has done its work is done, whatever the policy.
  return policy === 'OnFailure' || isInit ? run.state.exitCode !== 0 : true
}

/** How a container is that runs. */
export function healthOf({ health }: ObservedPod, container: Container, run: ContainerRun): ContainerHealth {
  return (run.id === undefined ? undefined : health.get(run.id)) ?? presumedHealth(container)
}

export function statusesOf(pod: PodObject): ContainerStatus[] {
  const { status } = pod
  return [
    ...(status?.initContainerStatuses ?? []),
    ...(status?.containerStatuses ?? []),
    ...(status?.ephemeralContainerStatuses ?? []),
  ]
}

export function isTerminalPhase(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

/** `NAME_NAMESPACE(UID)`, as kubelet names a Pod in its messages. */
export function formatPod({ metadata }: PodObject): string {
  return `${metadata.name}_${metadata.namespace}(${metadata.uid})`
}
