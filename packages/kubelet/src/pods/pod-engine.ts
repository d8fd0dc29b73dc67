/**
 * Runs the node's Pods: one pass at a time for each, which observes, plans and acts until the plan has nothing left to
 * do, and then tells the API how things are.
 */
import { type Client, createWorkqueue, type Informer, type PodObject } from '@caisson/client'
import type { ContainerStatus, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import type { PodSources } from '../pod-sources.ts'
import { observeSystemPod } from '../system/system-pods.ts'
import type { SystemProcesses } from '../system/system-processes.ts'
import { removeTree } from '../volumes/remove-tree.ts'
import { shownMetadataChanged } from '../volumes/shown-metadata.ts'
import { CONTAINER_ID_SCHEME } from './container-status.ts'
import type { FakePods } from './fake-pods.ts'
import { SANDBOX_LABELS } from './observe-pod.ts'
import { isTerminalPhase, type ObservedPod, statusesOf } from './observed-pod.ts'
import { type PodPlan, planPod } from './plan-pod.ts'
import type { PodAction } from './pod-action.ts'
import type { PodActions } from './pod-actions.ts'
import type { PodMemory } from './pod-memory.ts'
import type { PodNotices } from './pod-notices.ts'
import { createPodObserver, type PodObserver, type PodObserverOptions } from './pod-observer.ts'
import { createPodWriter } from './pod-writer.ts'
import { handlerOf } from './runtime-handler.ts'
import { forgetSetbacks, lookForImagesAgain } from './setbacks.ts'

/** A start that takes longer is announced: `ContainerCreating` is worth a write only then. */
const INTERIM_STATUS_MS = 300
/** Passes at a time; most wait for the API, the few that start containers are limited elsewhere. */
const CONCURRENCY = 32
/** Timers run on the monotonic clock, which stands still while a machine sleeps. */
const LONGEST_WAIT_MS = 300_000
/** More steps than any Pod can need in one pass: a plan that never ends must not keep a worker for ever. */
const STEP_LIMIT = 1000

export interface PodEngineOptions extends Omit<PodObserverOptions, 'cached' | 'onChanged' | 'onGranted'> {
  client: Client
  informer: Informer<PodObject>
  sources: PodSources
  actions: PodActions
  notices: PodNotices
  fakePods: FakePods | undefined
  /** Which Pods are processes of the cluster's own. */
  processes?: Pick<SystemProcesses, 'of' | 'onChanged'> | undefined
}

export interface PodEngine extends AsyncDisposable, Pick<PodObserver, 'storageOf' | 'connected' | 'onSeen'> {
  /** Settles when the API knows of everything that ended before this agent began. Nothing is begun before. */
  caughtUp: Promise<void>
  /** What is remembered of a Pod; undefined where nothing was begun. */
  memory(uid: string): PodMemory | undefined
  /** Names of images have changed: whoever waits for one need not wait until it is time to look again. */
  imagesChanged(): void
  /** Resolves when nothing is being done and nothing waits but for a time. */
  idle(): Promise<void>
}

const UID_INDEX = 'uid'

export function createPodEngine(options: PodEngineOptions): PodEngine {
  const { client, informer, runtime, sources, directories, actions, events, processes, hostIp, now, onError } = options
  /** Of the passes that go on now: what they begin is given up when the Pod is to end, or when we are. */
  const beginnings = new Map<string, AbortController>()
  let closed = false
  informer.addIndex(UID_INDEX, uidOf)
  const cached = (uid: string): PodObject | undefined => informer.byIndex(UID_INDEX, uid)[0]
  const writer = createPodWriter({ client, informer, cached, events })
  const observer = createPodObserver({ ...options, cached, onChanged: enqueue, onGranted: (uid) => queue.add(uid) })
  const { memories } = observer

  const queue = createWorkqueue({
    process: async (uid) => {
      await caughtUp
      const wakeAt = await pass(uid)
      return wakeAt === undefined ? {} : { requeueAfter: Math.min(Math.max(wakeAt - now(), 1), LONGEST_WAIT_MS) }
    },
    concurrency: CONCURRENCY,
    onError: (error, uid) => onError(error, `pod ${uid}`),
  })
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
      if (isTerminalPhase(pod.status?.phase) && !isTerminalPhase(old.status?.phase)) observer.freed()
      enqueue(uid)
    },
    deleted({ metadata: { uid = '' } }) {
      beginnings.get(uid)?.abort()
      enqueue(uid)
      observer.freed()
    },
  })
  const processChanges = processes?.onChanged((process) => {
    for (const pod of informer.list()) if (processes.of(pod) === process) enqueue(pod.metadata.uid ?? '')
  })
  const notices = options.notices.heed((uid, notice) => {
    if (notice === 'starting') observer.starts(uid)
    else if (notice === 'changed') refresh(uid)
    else enqueue(uid)
  })
  const caughtUp = tellWhatEnded()
  // What an earlier agent left behind may belong to Pods that are gone.
  for (const uid of memories.keys()) enqueue(uid)

  function enqueue(uid: string): void {
    if (!writer.isWriting(uid)) queue.add(uid)
  }

  function refresh(uid: string): void {
    const memory = memories.get(uid)
    if (!memory) return
    memory.volumes = undefined
    forgetSetbacks(memory)
    enqueue(uid)
  }

  /** Before what starts again hides it: nobody shall take a Pod for Ready whose containers are gone. */
  async function tellWhatEnded(): Promise<void> {
    const alive = new Set(
      options.left.sandboxes.flatMap(({ containers }) =>
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
        const { status } = planPod(await observer.observe(uid, observer.memoryOf(uid, pod)), now())
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

  async function pass(uid: string): Promise<number | undefined> {
    const pod = cached(uid)
    const process = pod && processes?.of(pod)
    if (process) return await passBare(pod, (pod) => observeSystemPod(pod, process, hostIp))
    if (pod && options.fakePods && (await isFake(pod))) return await passBare(pod, options.fakePods.observe)
    const memory = pod ? observer.memoryOf(uid, pod) : memories.get(uid)
    if (memory) return await passReal(uid, memory)
    options.fakePods?.forget(uid)
    return undefined
  }

  async function passReal(uid: string, memory: PodMemory): Promise<number | undefined> {
    let interim: NodeJS.Timeout | undefined
    const beginning = new AbortController()
    beginnings.set(uid, beginning)
    const { signal } = beginning
    if (memory.imagesChanged) lookForImagesAgain(memory, now())
    memory.imagesChanged = false
    try {
      for (let step = 0; step < STEP_LIMIT; step++) {
        if (closed) return undefined
        const observed = await observer.observe(uid, memory)
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
    observer.forget(uid, memory)
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
    memory: (uid) => memories.get(uid),
    storageOf: observer.storageOf,
    connected: observer.connected,
    onSeen: observer.onSeen,
    imagesChanged() {
      for (const [uid, memory] of memories) {
        const waits = [...memory.failures.values()].some(({ ofImage }) => ofImage)
        // A pass that goes on may have looked before the change, and note after it that nothing was there.
        if (!waits && !beginnings.has(uid)) continue
        memory.imagesChanged = true
        queue.add(uid)
      }
    },
    idle: () => queue.idle(),
    async [Symbol.asyncDispose]() {
      changes[Symbol.dispose]()
      processChanges?.[Symbol.dispose]()
      exits[Symbol.dispose]()
      notices[Symbol.dispose]()
      closed = true
      for (const beginning of beginnings.values()) beginning.abort()
      await queue[Symbol.asyncDispose]()
      // A pass that goes on to its end must not take what is forgotten for how its Pod is.
      observer[Symbol.dispose]()
    },
  }
}

function isBeginning({ kind }: PodAction): boolean {
  return kind === 'prepare' || kind === 'create-sandbox' || kind === 'start-container'
}

function uidOf(pod: PodObject): readonly string[] {
  return pod.metadata.uid === undefined ? [] : [pod.metadata.uid]
}
