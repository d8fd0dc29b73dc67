/**
 * What the node knows of its Pods: what it remembers of each, what its runtime has of it, and what is found out by asking
 * containers and by measuring what they keep.
 */
import type { PodObject } from '@caisson/client'
import type { Runtime } from '@caisson/runtime'
import { createActivityWatch } from '../activity/activity-watch.ts'
import { createStorageWatch } from '../eviction/storage-watch.ts'
import type { RecordedEnds } from '../node/recorded-ends.ts'
import type { PodDirectories } from '../pod-directories.ts'
import { createProber } from '../probes/prober.ts'
import { createLastWords } from './last-words.ts'
import { type LeftPods, memoriesOf } from './left-pods.ts'
import { limitsDue } from './limits-due.ts'
import type { TakenPods } from './node-fit.ts'
import { observePod, type SeenPod } from './observe-pod.ts'
import { type Eviction, isTerminalPhase, type ObservedPod, type PendingResize } from './observed-pod.ts'
import type { PodEvents } from './pod-events.ts'
import { podLimits } from './pod-limits.ts'
import { newPodMemory, type PodMemory } from './pod-memory.ts'
import { createResizes } from './resizes.ts'
import { createTakenPods } from './taken-pods.ts'

export interface PodObserverOptions {
  runtime: Runtime
  directories: PodDirectories
  events: PodEvents
  hostIp: string
  /** By an earlier agent. */
  left: LeftPods
  /** How containers ended that were stopped with the node. */
  ends: RecordedEnds
  /** The Pod as the API has it; undefined where it has none. */
  cached(uid: string): PodObject | undefined
  /** Why a Pod does not fit beside others that were taken; undefined where it does, and then it is taken. */
  misfit(pod: PodObject, others: TakenPods): Eviction | undefined
  /** Why a Pod that runs cannot have what it asks for by now beside others; undefined where it can. */
  resizeRefusal(pod: PodObject, others: TakenPods): PendingResize | undefined
  /** Why the node begins with no such Pod, whatever room it has; undefined where it may. */
  rejection(pod: PodObject): Eviction | undefined
  /** What the node has Pods go for, by uid. */
  evictions: ReadonlyMap<string, Eviction>
  /** Something that is asked or measured is not what it was when the Pod was observed. */
  onChanged(uid: string): void
  /** A running Pod is granted the resources that it waits for. */
  onGranted(uid: string): void
  now: () => number
  onError(error: unknown, where: string): void
}

/** Disposing it ends all that watches containers: what was found out by that is then unknown. */
export interface PodObserver extends Disposable {
  /** By uid, of every Pod of which there may be something here. */
  memories: ReadonlyMap<string, PodMemory>
  /** What is remembered of a Pod that the API has; from now on, where it was not yet. */
  memoryOf(uid: string, pod: PodObject): PodMemory
  observe(uid: string, memory: PodMemory): Promise<ObservedPod>
  /** There is nothing of the Pod here any more. */
  forget(uid: string, memory: PodMemory): void
  /** Resources of a Pod have become free. */
  freed(): void
  /** Bytes that the Pod keeps on the disk; undefined where it has no sandbox. */
  storageOf(pod: PodObject): Promise<number | undefined>
  /** Somebody is connected to the Pod until this is disposed. */
  connected(uid: string): Disposable
  /** Called whenever it has been seen anew what runs of a Pod, or a container of it begins to start. */
  onSeen(listener: (uid: string) => void): Disposable
  /** A container of the Pod begins to start. */
  starts(uid: string): void
}

export function createPodObserver(options: PodObserverOptions): PodObserver {
  const { runtime, directories, events, hostIp, cached, onChanged, now, onError } = options
  const memories = memoriesOf(options.left)
  const seenListeners = new Set<(uid: string) => void>()
  const lastWords = createLastWords(options)
  const takenPods = createTakenPods(memories, cached)
  const resizes = createResizes({
    memories,
    cached,
    takenPods,
    refusal: options.resizeRefusal,
    onGranted: options.onGranted,
  })
  const activity = createActivityWatch({ runtime, directories, now, onChanged })
  const askFrom = (): string | undefined => runtime.network.place()?.prober
  const prober = createProber({ runtime, events, now, onChanged, askFrom })
  const storage = createStorageWatch({ runtime, directories, onExceeded: onChanged, onError })

  function memoryOf(uid: string, pod: PodObject): PodMemory {
    const known = memories.get(uid)
    if (known) return known
    const memory = newPodMemory(pod, { nextAttempt: 0, hasDirectory: false })
    memories.set(uid, memory)
    return memory
  }

  async function observe(uid: string, memory: PodMemory): Promise<ObservedPod> {
    const asked = cached(uid)
    const pod = asked && resizes.settle(asked, memory)
    if (pod) memory.pod = pod
    const sandbox = memory.sandboxId === undefined ? undefined : await runtime.get(memory.sandboxId)
    if (sandbox) await lastWords.read(memory, sandbox)
    if (pod && !memory.recalled) await lastWords.recall(pod, memory)
    const seen = observePod(memory, { pod, sandbox, hostIp })
    memory.seen = seen.runs
    tellSeen(uid)
    return {
      ...seen,
      refusal: options.rejection(seen.pod) ?? (pod && refusalOf(pod, seen, memory)),
      limitsDue: limitsDue(seen.pod, seen, podLimits(seen.pod, runtime).limits),
      ...(await watch(seen, memory)),
    }
  }

  /** Asked once: what was begun, by an earlier agent too, was taken. */
  function refusalOf(pod: PodObject, { sandbox, runs }: SeenPod, memory: PodMemory): Eviction | undefined {
    const { startTime, phase } = pod.status ?? {}
    const isBegun = sandbox !== undefined || runs.length > 0 || startTime !== undefined || isTerminalPhase(phase)
    memory.admission ??=
      (isBegun ? undefined : options.misfit(pod, { atMost: memories.size, list: takenPods })) ?? 'taken'
    return memory.admission === 'taken' ? undefined : memory.admission
  }

  /** What is found out by asking containers and measuring, as long as there is a sandbox. */
  async function watch(
    { pod, runs, sandbox }: SeenPod,
    { begun }: PodMemory,
  ): Promise<Omit<ObservedPod, keyof SeenPod | 'limitsDue'>> {
    if (!sandbox) {
      unwatch(pod.metadata.uid ?? '')
      return { health: new Map(), eviction: undefined, activity: undefined }
    }
    return {
      activity: await activity.follow(pod, { id: sandbox.id, runs }),
      health: prober.follow({ pod, sandboxId: sandbox.id, podIp: sandbox.ip, runs, begun }),
      eviction: storage.follow(pod, sandbox.id) ?? options.evictions.get(pod.metadata.uid ?? ''),
    }
  }

  function unwatch(uid: string): void {
    prober.forget(uid)
    storage.forget(uid)
    activity.forget(uid)
  }

  function tellSeen(uid: string): void {
    for (const listener of seenListeners) listener(uid)
  }

  return {
    memories,
    memoryOf,
    observe,
    forget(uid, memory) {
      if (memories.get(uid) === memory) memories.delete(uid)
      unwatch(uid)
    },
    freed: () => resizes.freed(),
    async storageOf(pod) {
      const id = memories.get(pod.metadata.uid ?? '')?.sandboxId
      return id === undefined ? undefined : await storage.measure(pod, id)
    },
    connected: (uid) => activity.connected(uid),
    onSeen(listener) {
      seenListeners.add(listener)
      return { [Symbol.dispose]: () => void seenListeners.delete(listener) }
    },
    starts: tellSeen,
    [Symbol.dispose]() {
      prober[Symbol.dispose]()
      storage[Symbol.dispose]()
      activity[Symbol.dispose]()
    },
  }
}
