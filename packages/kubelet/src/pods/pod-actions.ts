/** Carries a plan's actions out. What fails is remembered, so that the next plan waits for it; nothing is thrown for it. */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { PodObject } from '@caisson/client'
import type { NetworkGate, PodAddress } from '@caisson/network'
import { type Runtime, RuntimeError, type Sandbox, type SandboxSpec } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { ConfigError } from '../containers/config-error.ts'
import { type ContainerSpecOptions, containerSpec } from '../containers/container-spec.ts'
import type { PodPlace } from '../containers/downward-api.ts'
import { hostsFile, type NodeDns, podHostname, resolverFile } from '../containers/host-files.ts'
import type { ContainerImages } from '../images/container-images.ts'
import type { PodDirectories } from '../pod-directories.ts'
import type { PodSources } from '../pod-sources.ts'
import { runHook } from '../probes/run-hook.ts'
import type { FoundSnapshot, NodeSnapshots } from '../snapshots/node-snapshots.ts'
import { snapshotNameOf } from '../snapshots/snapshot-source.ts'
import { ownVolumes, restoreVolumes } from '../snapshots/snapshot-volumes.ts'
import { prepareVolumes } from '../volumes/prepare-volumes.ts'
import { removeTree } from '../volumes/remove-tree.ts'
import { companyOf } from './ephemeral-containers.ts'
import { SANDBOX_LABELS } from './observe-pod.ts'
import {
  ephemeralContainers,
  findContainer,
  formatPod,
  initContainers,
  type ObservedPod,
  specOf,
} from './observed-pod.ts'
import { MINIMUM_GRACE_MS, type PodAction } from './plan-pod.ts'
import type { PodEvents } from './pod-events.ts'
import { podLimits } from './pod-limits.ts'
import type { PodMemory } from './pod-memory.ts'
import { problemLabels } from './problem-labels.ts'
import { retryDelay } from './restart-back-off.ts'
import { handlerOf } from './runtime-handler.ts'
import { failureKind } from './start-failure.ts'

/**
 * On Pods: `none` leaves them without a network; with `isolated` nothing gets in or out but what policies and published
 * ports open. What it says when the sandbox is made holds for the life of that sandbox.
 */
const NETWORK_ANNOTATION = 'caisson.dev/network'

/** kubelet's for volumes: 500 ms doubling to 2 min 2 s. */
const VOLUME_RETRY = { first: 500, most: 122_000 }
const SANDBOX_RETRY = { first: 2_000, most: 60_000 }
/** Looking at the local store costs nothing, so an image that was imported is found soon; the registry is asked less often. */
const IMAGE_RETRY = { first: 2_000, most: 30_000 }
/** Always the same in kubelet: what is missing may come at any time, and it tries a whole Pod again. */
const START_RETRY = { first: 10_000, most: 10_000 }

export interface PodActionsOptions {
  runtime: Runtime
  images: ContainerImages
  network: NetworkGate
  sources: PodSources
  directories: PodDirectories
  events: PodEvents
  snapshots: () => Pick<NodeSnapshots, 'find'>
  /** Directories of which hostPath volumes may be; undefined: any. */
  hostPaths?: readonly string[] | undefined
  /** Of this node, but for the Pod's own address. */
  place: Omit<PodPlace, 'podIp'>
  dns: NodeDns
  now: () => number
  /** The runtime is starting one of the Pod's containers: it can be attached to. */
  onStarting(uid: string): void
  /** A container that was asked to stop is gone, or could not be stopped. */
  onStopped(uid: string, error: unknown): void
}

export interface PodActions {
  /** What begins something is given up when the signal is aborted, which is then no failure of the Pod's. */
  perform(action: PodAction, observed: ObservedPod, options: { memory: PodMemory; signal: AbortSignal }): Promise<void>
}

export function createPodActions(options: PodActionsOptions): PodActions {
  const { runtime, images, network, sources, directories, events, snapshots, place, dns, now, onStarting } = options

  async function perform(
    action: PodAction,
    observed: ObservedPod,
    { memory, signal }: { memory: PodMemory; signal: AbortSignal },
  ): Promise<void> {
    const { pod } = observed
    switch (action.kind) {
      case 'prepare':
        return await prepare(pod, memory, signal)
      case 'create-sandbox':
        return await createSandbox(pod, {
          memory,
          attempt: action.attempt,
          shared: action.shared,
          fresh: observed.runs.length === 0,
          signal,
        })
      case 'start-container':
        return await startContainer(action, observed, { memory, signal })
      case 'stop-container':
        return stopContainer(action, observed, memory)
      case 'remove-container':
        await removeRun(memory, action.id)
        return
      case 'remove-sandbox':
        images.cancel(memory.images)
        return await removeSandbox(action.id, observed, memory)
      case 'remove-volumes':
        images.cancel(memory.images)
        await removeTree(directories.pod(pod.metadata.uid ?? ''))
        memory.volumes = undefined
        memory.hasDirectory = false
    }
  }

  async function prepare(pod: PodObject, memory: PodMemory, signal: AbortSignal): Promise<void> {
    try {
      memory.hasDirectory = true
      await mkdir(directories.pod(pod.metadata.uid ?? ''), { recursive: true, mode: 0o700 })
      const prepared = await prepareVolumes(pod, {
        directories,
        sources,
        place: { ...place, podIp: pod.status?.podIP },
        now: now(),
        tokens: memory.tokens,
        hostPaths: options.hostPaths,
        signal,
      })
      memory.volumes = prepared.volumes
      memory.refreshAt = prepared.refreshAt
      memory.setback = undefined
    } catch (error) {
      if (signal.aborted) return
      setBack(memory, VOLUME_RETRY)
      events.about(pod, { type: 'Warning', reason: 'FailedMount', message: saidOf(error) })
    }
  }

  async function createSandbox(
    pod: PodObject,
    options: {
      memory: PodMemory
      attempt: number
      shared: boolean
      /** Nothing of the Pod has run yet. */
      fresh: boolean
      signal: AbortSignal
    },
  ): Promise<void> {
    const { memory, attempt, shared, fresh, signal } = options
    const { uid = '', name = '', namespace = '' } = pod.metadata
    try {
      const found = await handlerOf(pod, { sources, fake: false })
      if (typeof found === 'string') throw new Error(found)
      refuseHostNamespaces(pod)
      const id = `${uid}-${attempt}`
      const wanted = pod.metadata.annotations?.[NETWORK_ANNOTATION]
      const isolated = wanted === 'isolated'
      const { limits, problem } = podLimits(pod, runtime)
      const spec: SandboxSpec = {
        id,
        handler: found.handler as 'runsc',
        hostname: podHostname(pod),
        network: { kind: wanted === 'none' ? 'none' : 'pod' },
        limits,
        shared,
        ...(shared ? fresh && (await beginShared(pod, signal)) : attempt === 0 && snapshotToCome(pod)),
        labels: {
          [SANDBOX_LABELS.uid]: uid,
          [SANDBOX_LABELS.namespace]: namespace,
          [SANDBOX_LABELS.name]: name,
          [SANDBOX_LABELS.attempt]: String(attempt),
          ...(isolated && { [SANDBOX_LABELS.isolated]: 'true' }),
          ...problemLabels(pod, problem),
        },
      }
      const sandbox = await createWithNetwork(spec, {
        publishesPorts: specOf(pod).containers.some(({ ports = [] }) => ports.some(({ hostPort }) => hostPort)),
        signal,
      })
      if (sandbox.ip !== undefined) await admit(pod, { uid, ip: sandbox.ip, isolated }, id)
      memory.sandboxId = id
      memory.nextAttempt = attempt + 1
      memory.setback = undefined
    } catch (error) {
      if (signal.aborted) return
      const message = saidOf(error)
      setBack(memory, SANDBOX_RETRY, { reason: 'FailedCreatePodSandBox', message })
      events.about(pod, {
        type: 'Warning',
        reason: 'FailedCreatePodSandBox',
        message: `Failed to create pod sandbox: ${message}`,
      })
    }
  }

  /** A machine that cannot have a network runs Pods without one, and says so: but those that nobody would reach then. */
  async function createWithNetwork(
    spec: SandboxSpec,
    { publishesPorts, signal }: { publishesPorts: boolean; signal: AbortSignal },
  ): Promise<Sandbox> {
    try {
      return await runtime.createSandbox(spec, signal)
    } catch (error) {
      if (!(error instanceof RuntimeError) || error.code !== 'network-missing' || publishesPorts) throw error
      const labels = { ...spec.labels, [SANDBOX_LABELS.networkProblem]: error.message }
      return await runtime.createSandbox({ ...spec, network: { kind: 'none' }, labels }, signal)
    }
  }

  async function admit(pod: PodObject, address: PodAddress, sandboxId: string): Promise<void> {
    try {
      await network.admit(pod, address)
    } catch (error) {
      network.leave(address.uid)
      await runtime.removeSandbox(sandboxId)
      throw error
    }
  }

  /** Rewritten in place: containers have the files themselves mounted. */
  async function writeEtcFiles(pod: PodObject, podIp: string | undefined): Promise<void> {
    const uid = pod.metadata.uid ?? ''
    const files = {
      hosts: hostsFile(pod, { podIp, clusterDomain: dns.clusterDomain }),
      hostname: `${podHostname(pod)}\n`,
      'resolv.conf': resolverFile(pod, dns),
    }
    await mkdir(dirname(directories.etc(uid, 'hosts')), { recursive: true, mode: 0o700 })
    await Promise.all(
      Object.entries(files).map(async ([file, content]) => {
        const path = directories.etc(uid, file as keyof typeof files)
        await writeFile(path, content)
        await chmod(path, 0o644)
      }),
    )
  }

  async function startContainer(
    action: Extract<PodAction, { kind: 'start-container' }>,
    observed: ObservedPod,
    { memory, signal }: { memory: PodMemory; signal: AbortSignal },
  ): Promise<void> {
    const { pod, sandbox } = observed
    const { container, restartCount, backOffMs } = action
    if (!sandbox || !memory.volumes) return
    const quiet = memory.failures.has(container.name)
    const found = await images.find({ pod, container, states: memory.images, quiet })
    if (found.kind === 'pulling') return
    if (found.kind === 'missing') {
      fail(memory, container.name, { ...found, retry: IMAGE_RETRY })
      return
    }
    const id = containerId(pod, container, restartCount)
    try {
      const specOptions: ContainerSpecOptions = {
        id,
        sandboxId: sandbox.id,
        company: companyOf(observed, container),
        restartCount,
        backOffMs,
        image: found.image,
        images: runtime.images,
        volumes: memory.volumes,
        sources,
        place: { ...place, podIp: sandbox.ip },
        directories,
      }
      const [spec] = await Promise.all([containerSpec(pod, container, specOptions), writeEtcFiles(pod, sandbox.ip)])
      const snapshot = firstSnapshot(pod, restartCount)
      if (snapshot) {
        if (!sandbox.shared) await fillVolumes(pod, snapshot, signal)
        await runtime.restoreContainer(spec, snapshot.memory, signal)
      } else {
        const started = runtime.startContainer(spec, signal)
        memory.starting.set(container.name, id)
        onStarting(pod.metadata.uid ?? '')
        await started
      }
    } catch (error) {
      if (signal.aborted) return
      failStart(error, { action, pod, memory, id, image: found.image })
      return
    } finally {
      memory.starting.delete(container.name)
    }
    memory.failures.delete(container.name)
    memory.begun.add(id)
    sayCreated(pod, container)
    events.aboutContainer(pod, container, {
      type: 'Normal',
      reason: 'Started',
      message: `Started container ${container.name}`,
    })
  }

  /** For the Pod's owner, to whom it is nobody's business where this machine keeps things. */
  function saidOf(error: unknown): string {
    return (error as Error).message
      .replaceAll(/ENOSPC: no space left on device(?:, \w+)?(?: '[^']*')*/g, "the node's disk is full")
      .replaceAll(dirname(directories.pods), '')
  }

  function sayCreated(pod: PodObject, container: Container): void {
    const message = `Created container: ${container.name}`
    events.aboutContainer(pod, container, { type: 'Normal', reason: 'Created', message })
  }

  /** That there is none is said when the container is to be started. */
  function snapshotToCome(pod: PodObject): Pick<SandboxSpec, 'snapshot'> {
    const name = snapshotNameOf(pod)
    const found = name === undefined ? undefined : snapshots().find(pod.metadata.namespace ?? '', name)
    return typeof found === 'object' ? { snapshot: found.memory } : {}
  }

  /** A sandbox of several containers is made for what they begin with, and its volumes are there before the first of them. */
  async function beginShared(pod: PodObject, signal: AbortSignal): Promise<Pick<SandboxSpec, 'snapshot'>> {
    const snapshot = firstSnapshot(pod, 0)
    if (!snapshot) return {}
    await fillVolumes(pod, snapshot, signal)
    return { snapshot: snapshot.memory }
  }

  async function fillVolumes(pod: PodObject, { volumes }: FoundSnapshot, signal: AbortSignal): Promise<void> {
    await restoreVolumes(await ownVolumes(pod, { directories, sources }), { source: volumes, signal })
  }

  /** What the Pod's container begins with, but for a run that comes after another one. Throws where it is not there. */
  function firstSnapshot(pod: PodObject, restartCount: number): FoundSnapshot | undefined {
    const name = snapshotNameOf(pod)
    if (name === undefined || restartCount > 0) return undefined
    const snapshot = snapshots().find(pod.metadata.namespace ?? '', name)
    if (typeof snapshot === 'string') throw new ConfigError(snapshot)
    return snapshot
  }

  function failStart(
    error: unknown,
    {
      action,
      pod,
      memory,
      id,
      image,
    }: {
      action: Extract<PodAction, { kind: 'start-container' }>
      pod: PodObject
      memory: PodMemory
      id: string
      image: { name: string; id: string }
    },
  ): void {
    const { container, restartCount, backOffMs } = action
    const message = saidOf(error)
    const known = memory.failures.get(container.name)
    const kind = failureKind(error)
    // Here the two are one step; which of them failed is known all the same.
    if (kind === 'start') sayCreated(pod, container)
    if (known?.message !== message) {
      events.aboutContainer(pod, container, { type: 'Warning', reason: 'Failed', message: `Error: ${message}` })
    }
    if (kind !== 'start') {
      const reason = kind === 'config' ? 'CreateContainerConfigError' : 'CreateContainerError'
      fail(memory, container.name, { reason, message, retry: START_RETRY })
      return
    }
    memory.failures.delete(container.name)
    // It counts as a run that ended before it began: its back-off grows like that of one that crashes.
    const older = memory.runs.filter((run) => run.name === container.name).slice(0, 1)
    memory.runs = [
      {
        id,
        name: container.name,
        past: false,
        restartCount,
        image: image.name,
        imageId: image.id,
        state: { phase: 'exited', exitCode: 128, startedAt: 0, finishedAt: now(), reason: 'start-failed' },
        user: undefined,
        terminationMessage: message,
        backOffMs,
      },
      ...older,
      ...memory.runs.filter((run) => run.name !== container.name),
    ]
  }

  function fail(
    memory: PodMemory,
    name: string,
    { reason, message, retry }: { reason: string; message: string; retry: { first: number; most: number } },
  ): void {
    const count = (memory.failures.get(name)?.count ?? 0) + 1
    memory.failures.set(name, { reason, message, count, retryAt: now() + retryDelay(count, retry) })
  }

  function setBack(
    memory: PodMemory,
    retry: { first: number; most: number },
    waiting?: { reason: string; message: string },
  ): void {
    const count = (memory.setback?.count ?? 0) + 1
    memory.setback = { count, retryAt: now() + retryDelay(count, retry), ...(waiting && { waiting }) }
  }

  function stopContainer(
    action: Extract<PodAction, { kind: 'stop-container' }>,
    observed: ObservedPod,
    memory: PodMemory,
  ): void {
    const { id, container, graceMs, because } = action
    const { pod, orphaned } = observed
    const uid = pod.metadata.uid ?? ''
    const first = !memory.stopping.has(id)
    if (first && !orphaned) {
      const message = because?.message ?? `Stopping container ${container}`
      events.aboutContainer(pod, container, { type: 'Normal', reason: 'Killing', message })
    }
    if (because?.waiting) memory.failures.set(container, { ...because.waiting, count: 1, retryAt: now() })
    memory.stopping.set(id, now() + graceMs)
    // Asked again, it is because the grace was cut short: the hook has had its time.
    const stopped = first ? stopAfterHook(action, observed) : runtime.stopContainer(id, { graceMs })
    // Not waited for: the Pod's grace may be shortened meanwhile. Its exit is an event of its own.
    stopped.then(
      () => options.onStopped(uid, undefined),
      (error: unknown) => {
        memory.stopping.delete(id)
        options.onStopped(uid, error)
      },
    )
  }

  /** The hook's time is part of the grace, of which the container keeps a little whatever the hook took. */
  async function stopAfterHook(
    { id, container: name, graceMs }: Extract<PodAction, { kind: 'stop-container' }>,
    { pod, sandbox }: ObservedPod,
  ): Promise<void> {
    const container = findContainer(pod, name)
    const hook = container?.lifecycle?.preStop
    let left = graceMs
    if (container && hook && sandbox) {
      const begun = performance.now()
      const signal = AbortSignal.timeout(graceMs)
      const target = { runtime, container, containerId: id, sandboxId: sandbox.id, podIp: sandbox.ip }
      try {
        await runHook(target, hook, { pod: formatPod(pod), signal })
      } catch {
        // Not why: what a hook prints may be a secret, and more may read events than the Pod's status.
        const message = 'PreStopHook failed'
        if (!signal.aborted) {
          events.aboutContainer(pod, container, { type: 'Warning', reason: 'FailedPreStopHook', message })
        }
      }
      left = Math.max(graceMs - (performance.now() - begun), MINIMUM_GRACE_MS)
    }
    await runtime.stopContainer(id, { graceMs: left })
  }

  async function removeRun(memory: PodMemory, id: string): Promise<void> {
    memory.runs = memory.runs.filter((run) => run.id !== id)
    memory.lastWords.delete(id)
    memory.begun.delete(id)
    await ignoreMissing(runtime.removeContainer(id))
  }

  async function removeSandbox(
    id: string,
    { pod, runs, sandbox, orphaned }: ObservedPod,
    memory: PodMemory,
  ): Promise<void> {
    const ends = orphaned || pod.metadata.deletionTimestamp !== undefined
    if (sandbox?.alive === false && !ends) {
      events.about(pod, {
        type: 'Normal',
        reason: 'SandboxChanged',
        message: 'Pod sandbox changed, it will be killed and re-created.',
      })
    }
    await runtime.removeSandbox(id)
    network.leave(pod.metadata.uid ?? '')
    memory.sandboxId = undefined
    memory.stopping.clear()
    memory.begun.clear()
    // What ran in it is history that the runtime no longer tells.
    const kept = runs.filter((run) => run.state.phase === 'exited').map((run) => ({ ...run, past: true }))
    memory.runs = kept
  }

  return { perform }
}

/** A sandbox has namespaces of its own, always. */
function refuseHostNamespaces(pod: PodObject): void {
  const { hostNetwork, hostPID, hostIPC } = specOf(pod)
  const asked = [hostNetwork && 'hostNetwork', hostPID && 'hostPID', hostIPC && 'hostIPC'].filter(Boolean)
  if (asked.length > 0) {
    throw new Error(
      `${formatPod(pod)} asks for ${asked.join(', ')}, which this node gives to no Pod: remove it from the spec`,
    )
  }
}

async function ignoreMissing(removal: Promise<void>): Promise<void> {
  try {
    await removal
  } catch (error) {
    if ((error as { code?: string }).code !== 'not-found') throw error
  }
}

/** Names can be longer than what is left of an id; their place in the Pod says the same. */
function containerId(pod: PodObject, container: Container, restartCount: number): string {
  const init = initContainers(pod).indexOf(container)
  const ephemeral = ephemeralContainers(pod).findIndex(({ name }) => name === container.name)
  const main = specOf(pod).containers.indexOf(container)
  const place = init >= 0 ? `i${init}` : ephemeral >= 0 ? `e${ephemeral}` : `m${main}`
  return `${pod.metadata.uid}-${place}-${restartCount}`
}
