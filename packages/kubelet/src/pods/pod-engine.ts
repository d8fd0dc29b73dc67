/**
 * Runs the node's Pods: one pass at a time for each, which observes, plans and acts until the plan has nothing left to
 * do, and then tells the API how things are.
 */
import { type Client, createWorkqueue, type Informer, type PodObject } from '@caisson/client'
import type { Runtime, Sandbox } from '@caisson/runtime'
import type { ContainerStatus, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { createActivityWatch } from '../activity/activity-watch.ts'
import { createStorageWatch } from '../eviction/storage-watch.ts'
import type { RecordedEnds } from '../node/recorded-ends.ts'
import type { PodDirectories } from '../pod-directories.ts'
import type { PodSources } from '../pod-sources.ts'
import { createProber } from '../probes/prober.ts'
import { observeSystemPod } from '../system/system-pods.ts'
import type { SystemProcesses } from '../system/system-processes.ts'
import { removeTree } from '../volumes/remove-tree.ts'
import { shownMetadataChanged } from '../volumes/shown-metadata.ts'
import { CONTAINER_ID_SCHEME } from './container-status.ts'
import type { FakePods } from './fake-pods.ts'
import { createLastWords } from './last-words.ts'
import { limitsDue } from './limits-due.ts'
import type { TakenPods } from './node-fit.ts'
import { observePod, SANDBOX_LABELS, type SeenPod } from './observe-pod.ts'
import { type Eviction, isTerminalPhase, type ObservedPod, type PendingResize, statusesOf } from './observed-pod.ts'
import { type PodPlan, planPod } from './plan-pod.ts'
import type { PodAction } from './pod-action.ts'
import type { PodActions } from './pod-actions.ts'
import type { PodEvents } from './pod-events.ts'
import { podLimits } from './pod-limits.ts'
import { newPodMemory, type PodMemory } from './pod-memory.ts'
import { createPodWriter } from './pod-writer.ts'
import { createResizes } from './resizes.ts'
import { handlerOf } from './runtime-handler.ts'
import { createTakenPods } from './taken-pods.ts'
import { unknownPod } from './unknown-pod.ts'

/** A start that takes longer is announced: `ContainerCreating` is worth a write only then. */
const INTERIM_STATUS_MS = 300
/** Passes at a time; most wait for the API, the few that start containers are limited elsewhere. */
const CONCURRENCY = 32
/** Timers run on the monotonic clock, which stands still while a machine sleeps. */
const LONGEST_WAIT_MS = 300_000
/** More steps than any Pod can need in one pass: a plan that never ends must not keep a worker for ever. */
const STEP_LIMIT = 1000

export interface PodEngineOptions {
  client: Client
  informer: Informer<PodObject>
  runtime: Runtime
  sources: PodSources
  directories: PodDirectories
  actions: PodActions
  events: PodEvents
  fakePods: FakePods | undefined
  /** Which Pods are processes of the cluster's own. */
  processes?: Pick<SystemProcesses, 'of' | 'onChanged'> | undefined
  hostIp: string
  /** Sandboxes that an earlier agent left. */
  adopted: readonly Sandbox[]
  /** How containers ended that were stopped with the node. */
  ends: RecordedEnds
  /** Uids of Pods of which directories are on the disk. */
  directoriesOf: ReadonlySet<string>
  /** Why a Pod does not fit beside others that were taken; undefined where it does. */
  misfit(pod: PodObject, others: TakenPods): Eviction | undefined
  /** Why a Pod that runs cannot have what it asks for by now beside others; undefined where it can. */
  resizeRefusal(pod: PodObject, others: TakenPods): PendingResize | undefined
  /** What the node has the Pod go for. */
  evictionOf(uid: string): Eviction | undefined
  now: () => number
  onError(error: unknown, where: string): void
}

export interface PodEngine extends AsyncDisposable {
  /** Settles when the API knows of everything that ended before this agent began. Nothing is begun before. */
  caughtUp: Promise<void>
  enqueue(uid: string): void
  /** What is remembered of a Pod; undefined where nothing was begun. */
  memory(uid: string): PodMemory | undefined
  /** Bytes that the Pod keeps on the disk; undefined where it has no sandbox. */
  storageOf(pod: PodObject): Promise<number | undefined>
  /** Somebody is connected to the Pod until this is disposed. */
  connected(uid: string): Disposable
  /** Called whenever it has been seen anew what runs of a Pod, or a container of it begins to start. */
  onSeen(listener: (uid: string) => void): Disposable
  /** A container of the Pod begins to start. */
  starts(uid: string): void
  /** Something that Pods are made from has changed: they are looked at anew, their volumes and failures too. */
  refresh(uid: string): void
  /** Resolves when nothing is being done and nothing waits but for a time. */
  idle(): Promise<void>
}

const UID_INDEX = 'uid'

export function createPodEngine(options: PodEngineOptions): PodEngine {
  const { client, informer, runtime, sources, directories, actions, events, processes, hostIp, now, onError } = options
  const memories = new Map<string, PodMemory>()
  /** Of the passes that go on now: what they begin is given up when the Pod is to end, or when we are. */
  const beginnings = new Map<string, AbortController>()
  let closed = false
  const seenListeners = new Set<(uid: string) => void>()
  informer.addIndex(UID_INDEX, uidOf)
  const cached = (uid: string): PodObject | undefined => informer.byIndex(UID_INDEX, uid)[0]
  const writer = createPodWriter({ client, informer, cached, events })
  const lastWords = createLastWords(options)
  const takenPods = createTakenPods(memories, cached)
  const resizes = createResizes({
    memories,
    takenPods,
    refusal: options.resizeRefusal,
    onRoom: (uid) => queue.add(uid),
  })

  for (const sandbox of options.adopted) adopt(sandbox)
  for (const uid of options.directoriesOf) {
    const memory = memories.get(uid)
    if (memory) memory.hasDirectory = true
    else memories.set(uid, newPodMemory(unknownPod({ uid }), { nextAttempt: 0, hasDirectory: true }))
  }

  const queue = createWorkqueue({
    process: async (uid) => {
      await caughtUp
      const wakeAt = await pass(uid)
      return wakeAt === undefined ? {} : { requeueAfter: Math.min(Math.max(wakeAt - now(), 1), LONGEST_WAIT_MS) }
    },
    concurrency: CONCURRENCY,
    onError: (error, uid) => onError(error, `pod ${uid}`),
  })
  const activity = createActivityWatch({ runtime, directories, now, onChanged: enqueue })
  const prober = createProber({
    runtime,
    events,
    now,
    onChanged: enqueue,
    askFrom: () => runtime.network.place()?.prober,
  })
  const storage = createStorageWatch({ runtime, directories, onExceeded: enqueue, onError })
  const exits = runtime.onExit((_container, sandbox) => {
    const uid = sandbox.spec.labels[SANDBOX_LABELS.uid]
    if (uid !== undefined) enqueue(uid)
  })
  const changes = informer.handle({
    added: (pod) => enqueue(pod.metadata.uid ?? ''),
    updated(old, pod) {
      const { uid = '', deletionTimestamp } = pod.metadata
      if (deletionTimestamp) beginnings.get(uid)?.abort()
      const memory = memories.get(uid)
      if (memory && shownMetadataChanged(old, pod)) memory.volumes = undefined
      if (isTerminalPhase(pod.status?.phase) && !isTerminalPhase(old.status?.phase)) resizes.freed()
      enqueue(uid)
    },
    deleted({ metadata: { uid = '' } }) {
      beginnings.get(uid)?.abort()
      enqueue(uid)
      resizes.freed()
    },
  })
  const processChanges = processes?.onChanged((process) => {
    for (const pod of informer.list()) if (processes.of(pod) === process) enqueue(pod.metadata.uid ?? '')
  })
  const caughtUp = tellWhatEnded()
  // What an earlier agent left behind may belong to Pods that are gone.
  for (const uid of memories.keys()) enqueue(uid)

  function enqueue(uid: string): void {
    if (!writer.isWriting(uid)) queue.add(uid)
  }

  function adopt(sandbox: Sandbox): void {
    const { labels, id } = sandbox.spec
    const uid = labels[SANDBOX_LABELS.uid]
    if (uid === undefined) return
    const attempt = Number(labels[SANDBOX_LABELS.attempt] ?? 0)
    const known = memories.get(uid)
    if (known && known.nextAttempt > attempt) return
    const pod = unknownPod({
      uid,
      name: labels[SANDBOX_LABELS.name] ?? '',
      namespace: labels[SANDBOX_LABELS.namespace] ?? '',
    })
    memories.set(uid, newPodMemory(pod, { sandboxId: id, nextAttempt: attempt + 1, hasDirectory: false }))
  }

  /** Before what starts again hides it: nobody shall take a Pod for Ready whose containers are gone. */
  async function tellWhatEnded(): Promise<void> {
    const alive = new Set(
      options.adopted.flatMap(({ containers }) =>
        containers.flatMap(({ spec, state }) =>
          state.phase === 'running' ? [`${CONTAINER_ID_SCHEME}${spec.id}`] : [],
        ),
      ),
    )
    const isLost = ({ state, containerID = '' }: ContainerStatus): boolean =>
      state?.running !== undefined && !alive.has(containerID)
    for (const pod of informer.list()) {
      if (isTerminalPhase(pod.status?.phase) || !statusesOf(pod).some(isLost)) continue
      try {
        if (processes?.of(pod) || (await isFake(pod))) continue
        const uid = pod.metadata.uid ?? ''
        const { status } = planPod(await observe(uid, memoryOf(uid, pod)), now())
        if (status) await writer.writeStatus(pod, status)
      } catch (error) {
        // The Pod's own pass says it again.
        onError(error, `pod ${pod.metadata.uid}`)
      }
    }
  }

  async function isFake(pod: PodObject): Promise<boolean> {
    if (!options.fakePods) return false
    const found = await handlerOf(pod, { sources, fake: true })
    return typeof found !== 'string' && found.handler === 'fake'
  }

  function memoryOf(uid: string, pod: PodObject): PodMemory {
    const known = memories.get(uid)
    if (known) return known
    const memory = newPodMemory(pod, { nextAttempt: 0, hasDirectory: false })
    memories.set(uid, memory)
    return memory
  }

  async function pass(uid: string): Promise<number | undefined> {
    const pod = cached(uid)
    const process = pod && processes?.of(pod)
    if (process) return await passBare(pod, (pod) => observeSystemPod(pod, process, hostIp))
    if (pod && options.fakePods && (await isFake(pod))) return await passBare(pod, options.fakePods.observe)
    const memory = pod ? memoryOf(uid, pod) : memories.get(uid)
    if (memory) return await passReal(uid, memory)
    options.fakePods?.forget(uid)
    return undefined
  }

  async function passReal(uid: string, memory: PodMemory): Promise<number | undefined> {
    let interim: NodeJS.Timeout | undefined
    const beginning = new AbortController()
    beginnings.set(uid, beginning)
    const { signal } = beginning
    try {
      for (let step = 0; step < STEP_LIMIT; step++) {
        if (closed) return undefined
        const observed = await observe(uid, memory)
        const plan = planPod(observed, now())
        const [action] = plan.actions
        if (!action) {
          // What was true when the pass began must not be said after what is true at its end.
          clearTimeout(interim)
          return await conclude(observed, plan, memory)
        }
        if (observed.pod.status?.startTime === undefined && plan.status) {
          const { status } = plan
          interim ??= setTimeout(() => {
            memory.interim = writeAhead(observed.pod, status)
          }, INTERIM_STATUS_MS)
        }
        for (const each of plan.actions) {
          // The Pod is looked at anew: it is another plan's turn.
          if (signal.aborted && isBeginning(each)) break
          await actions.perform(each, observed, { memory, signal })
        }
      }
      throw new Error(`the plan of pod ${uid} does not come to an end`)
    } finally {
      clearTimeout(interim)
      beginnings.delete(uid)
    }
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
      refusal: pod && refusalOf(pod, seen, memory),
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

  function tellSeen(uid: string): void {
    for (const listener of seenListeners) listener(uid)
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
      eviction: storage.follow(pod, sandbox.id) ?? options.evictionOf(pod.metadata.uid ?? ''),
    }
  }

  function unwatch(uid: string): void {
    prober.forget(uid)
    storage.forget(uid)
    activity.forget(uid)
  }

  /** Nothing is left to do now: the API is told, and what nobody needs is forgotten. */
  async function conclude(observed: ObservedPod, plan: PodPlan, memory: PodMemory): Promise<number | undefined> {
    const { pod } = observed
    if (memory.interim) {
      await memory.interim
      memory.interim = undefined
      // It may have changed what this plan began with.
      return now()
    }
    if (plan.status && (await writer.writeStatus(pod, plan.status))) {
      // What comes next may depend on what the API knows now: when the Pod has begun, or that it has ended.
      queue.add(pod.metadata.uid ?? '')
      if (isTerminalPhase(plan.status.phase)) {
        if (plan.event) events.about(pod, plan.event)
        return undefined
      }
    }
    if (plan.finished) await writer.remove(pod)
    if (plan.forgotten) await forget(observed, memory)
    return plan.wakeAt
  }

  /** Nothing depends on it: the end of the pass says it again. */
  async function writeAhead(pod: PodObject, status: PodStatus): Promise<void> {
    try {
      await writer.writeStatus(pod, status)
    } catch (error) {
      onError(error, `pod ${pod.metadata.uid}`)
    }
  }

  async function forget({ pod }: ObservedPod, memory: PodMemory): Promise<void> {
    const { uid = '', name = '', namespace = '' } = pod.metadata
    if (name !== '') await removeTree(directories.podLogs({ namespace, name, uid }))
    if (memories.get(uid) === memory) memories.delete(uid)
    unwatch(uid)
  }

  /** Of a Pod that has nothing here but its status. */
  async function passBare(pod: PodObject, observe: (pod: PodObject) => ObservedPod): Promise<number | undefined> {
    if (pod.metadata.deletionTimestamp && !pod.metadata.finalizers?.length) {
      await writer.remove(pod)
      return undefined
    }
    const plan = planPod(observe(pod), now())
    if (plan.status && (await writer.writeStatus(pod, plan.status))) queue.add(pod.metadata.uid ?? '')
    if (pod.metadata.deletionTimestamp) await writer.remove(pod)
    return plan.wakeAt
  }

  return {
    caughtUp,
    enqueue,
    memory: (uid) => memories.get(uid),
    async storageOf(pod) {
      const id = memories.get(pod.metadata.uid ?? '')?.sandboxId
      return id === undefined ? undefined : await storage.measure(pod, id)
    },
    onSeen(listener) {
      seenListeners.add(listener)
      return { [Symbol.dispose]: () => void seenListeners.delete(listener) }
    },
    starts: tellSeen,
    refresh(uid) {
      const memory = memories.get(uid)
      if (!memory) return
      memory.volumes = undefined
      memory.setback = undefined
      memory.failures.clear()
      for (const [name, { kind }] of memory.images) if (kind === 'failed') memory.images.delete(name)
      enqueue(uid)
    },
    connected: (uid) => activity.connected(uid),
    idle: () => queue.idle(),
    async [Symbol.asyncDispose]() {
      changes[Symbol.dispose]()
      processChanges?.[Symbol.dispose]()
      exits[Symbol.dispose]()
      closed = true
      for (const beginning of beginnings.values()) beginning.abort()
      await queue[Symbol.asyncDispose]()
      // A pass that goes on to its end must not take what is forgotten for how its Pod is.
      prober[Symbol.dispose]()
      storage[Symbol.dispose]()
      activity[Symbol.dispose]()
    },
  }
}

function isBeginning({ kind }: PodAction): boolean {
  return kind === 'prepare' || kind === 'create-sandbox' || kind === 'start-container'
}

function uidOf(pod: PodObject): readonly string[] {
  return pod.metadata.uid === undefined ? [] : [pod.metadata.uid]
}
