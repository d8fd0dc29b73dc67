/** Starts, stops and removes the containers of Pods. */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { LONGEST_TIMER } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { Runtime } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { type ContainerSpecOptions, containerSpec } from '../containers/container-spec.ts'
import type { PodPlace } from '../containers/downward-api.ts'
import { hostsFile, type NodeDns, podHostname, resolverFile } from '../containers/host-files.ts'
import type { ContainerImages, ImageOutcome } from '../images/container-images.ts'
import type { PodDirectories } from '../pod-directories.ts'
import type { PodSources } from '../pod-sources.ts'
import { runHook } from '../probes/run-hook.ts'
import type { Beginnings } from '../snapshots/beginnings.ts'
import { companyOf } from './ephemeral-containers.ts'
import { failureMessage } from './failure-message.ts'
import {
  ephemeralContainers,
  findContainer,
  formatPod,
  initContainers,
  type ObservedPod,
  specOf,
} from './observed-pod.ts'
import { MINIMUM_GRACE_MS } from './plan-pod.ts'
import type { PodAction } from './pod-action.ts'
import type { PodEvents } from './pod-events.ts'
import type { PodMemory } from './pod-memory.ts'
import type { PodNotices } from './pod-notices.ts'
import { WorkGoesOn } from './pod-work.ts'
import { refuseUnconfined } from './refuse-isolation.ts'
import { noteFailure } from './setbacks.ts'
import { failureKind } from './start-failure.ts'

/** Looking at the local store costs nothing, so an image that was imported is found soon; the registry is asked less often. */
const IMAGE_RETRY = { first: 2_000, most: 30_000 }
/** Always the same in kubelet: what is missing may come at any time, and it tries a whole Pod again. */
const START_RETRY = { first: 10_000, most: 10_000 }
/** What cannot be stopped may fail at once, again and again. */
const STOP_RETRY_MS = 2_000

type StartAction = Extract<PodAction, { kind: 'start-container' }>
type StopAction = Extract<PodAction, { kind: 'stop-container' }>

export interface ContainerActionsOptions {
  runtime: Runtime
  images: ContainerImages
  sources: PodSources
  directories: PodDirectories
  events: PodEvents
  beginnings: Beginnings
  /** Of this node, but for the Pod's own address. */
  place: Omit<PodPlace, 'podIp'>
  dns: NodeDns
  now: () => number
  notices: Pick<PodNotices, 'tell'>
  onError(error: unknown, where: string): void
}

export interface ContainerActions {
  start(action: StartAction, observed: ObservedPod, options: { memory: PodMemory; signal: AbortSignal }): Promise<void>
  /** Returns at once: the Pod's grace may be shortened meanwhile. Its exit is an event of its own. */
  stop(action: StopAction, observed: ObservedPod, memory: PodMemory): void
  remove(id: string, memory: PodMemory): Promise<void>
}

interface FailedStart {
  action: StartAction
  pod: PodObject
  memory: PodMemory
  id: string
  image: { name: string; id: string }
}

export function createContainerActions(options: ContainerActionsOptions): ContainerActions {
  const { runtime, images, sources, directories, events, beginnings, place, dns, now } = options
  const { notices, onError } = options

  async function start(
    action: StartAction,
    observed: ObservedPod,
    { memory, signal }: { memory: PodMemory; signal: AbortSignal },
  ): Promise<void> {
    const { pod, sandbox } = observed
    const { container, restartCount, backOffMs } = action
    if (!sandbox || !memory.volumes) return
    const quiet = memory.failures.has(container.name)
    const kept = await beginnings.image(pod, container, restartCount)
    const found: ImageOutcome = kept
      ? { kind: 'present', image: kept }
      : await images.find({ pod, container, states: memory.images, quiet })
    if (found.kind === 'pulling') return
    if (found.kind === 'missing') {
      noteFailure(memory, container.name, { ...found, retry: IMAGE_RETRY, now: now(), ofImage: true })
      return
    }
    const id = containerId(pod, container, restartCount)
    try {
      if (sandbox.handler) refuseUnconfined(pod, container, sandbox.handler)
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
      const snapshot = beginnings.first(pod, { container: container.name, restartCount })
      if (snapshot) {
        if (!sandbox.shared) await beginnings.fillVolumes(pod, snapshot, memory.work)
        await runtime.restoreContainer(spec, snapshot.memory, signal)
      } else {
        const started = runtime.startContainer(spec, signal)
        memory.starting.set(container.name, id)
        notices.tell(pod.metadata.uid ?? '', 'starting')
        await started
      }
    } catch (error) {
      if (error instanceof WorkGoesOn) {
        // It is found again without a word, and not pulled again.
        memory.images.set(container.name, { kind: 'pulled', image: found.image })
        return
      }
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

  /** Rewritten in place: containers have the files themselves mounted. */
  async function writeEtcFiles(pod: PodObject, podIp: string | undefined): Promise<void> {
    const uid = pod.metadata.uid ?? ''
    const files = {
      hosts: hostsFile(pod, { podIp, clusterDomain: dns.clusterDomain }),
      hostname: `${podHostname(pod)}\n`,
      'resolv.conf': resolverFile(pod, dns),
    }
    await mkdir(directories.etc(uid), { recursive: true, mode: 0o700 })
    await Promise.all(
      Object.entries(files).map(async ([file, content]) => {
        const path = directories.etcFile(uid, file as keyof typeof files)
        await writeFile(path, content)
        await chmod(path, 0o644)
      }),
    )
  }

  function sayCreated(pod: PodObject, container: Container): void {
    const message = `Created container: ${container.name}`
    events.aboutContainer(pod, container, { type: 'Normal', reason: 'Created', message })
  }

  function failStart(error: unknown, { action, pod, memory, id, image }: FailedStart): void {
    const { container, restartCount, backOffMs } = action
    const message = failureMessage(error, directories)
    const known = memory.failures.get(container.name)
    const kind = failureKind(error)
    // Here the two are one step; which of them failed is known all the same.
    if (kind === 'start') sayCreated(pod, container)
    if (known?.message !== message) {
      events.aboutContainer(pod, container, { type: 'Warning', reason: 'Failed', message: `Error: ${message}` })
    }
    if (kind !== 'start') {
      const reason = kind === 'config' ? 'CreateContainerConfigError' : 'CreateContainerError'
      noteFailure(memory, container.name, { reason, message, retry: START_RETRY, now: now() })
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

  function stop(action: StopAction, observed: ObservedPod, memory: PodMemory): void {
    const { id, container, graceMs, because, again } = action
    if (again) memory.restarting.add(id)
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
    const end = async (): Promise<void> => {
      try {
        await stopped
      } catch (error) {
        onError(error, `stopping a container of pod ${uid}`)
        await delay(STOP_RETRY_MS, undefined, { ref: false })
        memory.stopping.delete(id)
      }
      // It is gone, or it is time to ask again.
      notices.tell(uid, 'look')
    }
    void end()
  }

  /** The hook's time is part of the grace, of which the container keeps a little whatever the hook took. */
  async function stopAfterHook(
    { id, container: name, graceMs }: StopAction,
    { pod, sandbox }: ObservedPod,
  ): Promise<void> {
    const container = findContainer(pod, name)
    const hook = container?.lifecycle?.preStop
    let left = graceMs
    if (container && hook && sandbox) {
      const begun = performance.now()
      const signal = AbortSignal.timeout(Math.min(graceMs, LONGEST_TIMER))
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

  async function remove(id: string, memory: PodMemory): Promise<void> {
    memory.runs = memory.runs.filter((run) => run.id !== id)
    memory.lastWords.delete(id)
    memory.begun.delete(id)
    await ignoreMissing(runtime.removeContainer(id))
  }

  return { start, stop, remove }
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
