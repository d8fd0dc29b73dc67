/**
 * The snapshots of this node: makes those that a controller has assigned to it, and takes the files of those away that
 * nobody needs any more. What is done is known from the files, so that a new agent goes on where an old one was killed.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, statfs, writeFile } from 'node:fs/promises'
import {
  type ConditionState,
  hasSnapshotFailed,
  isConditionTrue,
  limitShares,
  mergeConditions,
  SNAPSHOT_REASONS as REASONS,
  type SandboxSnapshot,
  SNAPSHOT_FINALIZERS,
} from '@caisson/api'
import {
  type Client,
  createWorkqueue,
  type Informer,
  type Informers,
  isConflict,
  isNotFound,
  type PodObject,
  sandboxSnapshots,
} from '@caisson/client'
import type { Runtime, RuntimeErrorCode, Sandbox, Snapshot } from '@caisson/runtime'
import type { PodDirectories } from '../pod-directories.ts'
import type { PodSources } from '../pod-sources.ts'
import { TERMINATION_REASONS } from '../pods/container-status.ts'
import { failureMessage } from '../pods/failure-message.ts'
import { initContainers, specOf, statusesOf } from '../pods/observed-pod.ts'
import type { PodNotices } from '../pods/pod-notices.ts'
import { removeTree } from '../volumes/remove-tree.ts'
import { snapshotFiles } from './find-snapshot.ts'
import { openSnapshotLedger } from './snapshot-ledger.ts'
import { snapshotNameOf, snapshotSource } from './snapshot-source.ts'
import { keepVolumes, ownVolumes, putOnDisk, treeBytes, VolumesTooLargeError } from './snapshot-volumes.ts'

/** Each holds a core, and a sandbox still: `all` at a time, `each` of one namespace. */
const AT_ONCE = { all: 3, each: 2 }
/** Left on the disk beside a snapshot. */
const RESERVE_BYTES = 64 * 1024 ** 2
/** The snapshots of one namespace on the node. */
const DEFAULT_QUOTA_BYTES = 16 * 1024 ** 3

export interface NodeSnapshotsOptions {
  client: Client
  informers: Informers
  runtime: Runtime
  directories: PodDirectories
  nodeName: string
  pods: Informer<PodObject>
  sources: Pick<PodSources, 'volumeClaim' | 'volume'>
  notices: Pick<PodNotices, 'tell'>
  /** Of a Pod that runs here. */
  sandboxIdOf(uid: string): string | undefined
  now: () => number
  /** Of each namespace. */
  quotaBytes?: number
  onError(error: unknown, where: string): void
}

export interface NodeSnapshots extends AsyncDisposable {
  idle(): Promise<void>
}

export async function startNodeSnapshots(options: NodeSnapshotsOptions): Promise<NodeSnapshots> {
  const { client, informers, runtime, directories, nodeName, pods, sources, notices, now, onError } = options
  const quotaBytes = options.quotaBytes ?? DEFAULT_QUOTA_BYTES
  await mkdir(directories.snapshots, { recursive: true, mode: 0o700 })
  const ledger = openSnapshotLedger(directories)
  const informer = informers.of(sandboxSnapshots)
  const stop = new AbortController()
  const shared = limitShares(AT_ONCE)
  const queue = createWorkqueue({
    process: async (key) => {
      const snapshot = informer.get(key)
      if (snapshot?.status?.nodeName === nodeName) await pass(snapshot)
    },
    // Those that wait for their turn are no reason for others to.
    concurrency: Number.POSITIVE_INFINITY,
    onError: (error, key) => onError(error, `snapshot ${key}`),
  })
  const enqueue = ({ metadata }: SandboxSnapshot): void => {
    queue.add(`${metadata.namespace}/${metadata.name}`)
    for (const pod of pods.list()) {
      // Pods may have been waiting for it.
      if (pod.metadata.namespace === metadata.namespace && snapshotNameOf(pod) === metadata.name)
        notices.tell(pod.metadata.uid ?? '', 'changed')
    }
  }
  const handler = informer.handle({
    added: enqueue,
    updated: (_old, snapshot) => enqueue(snapshot),
    deleted: ({ metadata }) =>
      void removeFiles(metadata.uid ?? '').catch((error: unknown) => onError(error, 'snapshot')),
  })
  void removeStrays()

  /** Those whose object went while no agent was there. */
  async function removeStrays(): Promise<void> {
    try {
      await informer.synced(stop.signal)
      const known = new Map(informer.list().map(({ metadata }) => [metadata.uid ?? '', metadata.namespace ?? '']))
      for (const uid of await readdir(directories.snapshots)) {
        const namespace = known.get(uid)
        if (namespace === undefined) await removeFiles(uid)
        else if (ledger.bytesOf(uid) === undefined) await measure(uid, namespace)
      }
    } catch (error) {
      if (!stop.signal.aborted) onError(error, 'snapshots')
    }
  }

  /** What an older agent has left without a word of its size. */
  async function measure(uid: string, namespace: string): Promise<void> {
    ledger.enter(uid, { namespace, bytes: await treeBytes(directories.snapshot(uid), stop.signal) })
  }

  async function pass(snapshot: SandboxSnapshot): Promise<void> {
    const { deletionTimestamp, finalizers = [], uid = '' } = snapshot.metadata
    if (deletionTimestamp) {
      if (finalizers.includes(SNAPSHOT_FINALIZERS.inUse) || !finalizers.includes(SNAPSHOT_FINALIZERS.files)) return
      await removeFiles(uid)
      return releaseFinalizer(snapshot)
    }
    if (isSettled(snapshot)) return
    const { namespace = '', name } = snapshot.metadata
    await shared(
      namespace,
      async () => {
        const now = informer.get(`${namespace}/${name}`)
        if (now?.metadata.uid === uid && !now.metadata.deletionTimestamp && !isSettled(now)) await take(now)
      },
      stop.signal,
    )
  }

  async function take(snapshot: SandboxSnapshot): Promise<void> {
    const { uid = '', namespace = '' } = snapshot.metadata
    const pod = snapshotSource(snapshot, pods.list())
    try {
      const kept = (await finished(snapshot, pod)) ?? (await make(snapshot, pod))
      if (!kept) return
      // What fails from here on is tried again: of a source that ended with it the snapshot is all that is left.
      const { createdAt, sizeBytes, digest, machine } = kept
      ledger.enter(uid, { namespace, bytes: sizeBytes })
      await writeStatus(snapshot, {
        ...(pod && { image: specOf(pod).containers[0]?.image ?? '' }),
        takenAt: new Date(createdAt).toISOString(),
        sizeBytes,
        digest,
        ...machine,
        conditions: [{ status: 'True', reason: REASONS.taken, message: 'Sandboxes can be made from the snapshot' }],
      })
    } finally {
      if (pod) notices.tell(pod.metadata.uid ?? '', 'look')
    }
  }

  /** Undefined where it failed, of which nothing is left but what the status says. */
  async function make(snapshot: SandboxSnapshot, pod: PodObject | undefined): Promise<Snapshot | undefined> {
    const { uid = '' } = snapshot.metadata
    try {
      return await keep(snapshot, pod)
    } catch (error) {
      await removeTree(directories.snapshot(uid))
      ledger.forget(uid)
      // Given up by us, not failed: the next agent takes it.
      if (stop.signal.aborted) return undefined
      await writeStatus(snapshot, {
        conditions: [{ status: 'False', reason: failureReason(error), message: failureMessage(error, directories) }],
      })
      return undefined
    }
  }

  /** What was done before, by an agent before us too, but for telling of it. */
  async function finished(snapshot: SandboxSnapshot, pod: PodObject | undefined): Promise<Snapshot | undefined> {
    const { memory, ended } = snapshotFiles(directories, snapshot)
    if (!existsSync(memory)) return undefined
    const directory = directories.snapshot(snapshot.metadata.uid ?? '')
    const kept = await runtime.readSnapshot(memory).catch(unlessUseless)
    // What was to end with it and runs has gone on since: that is another moment.
    if (kept && (!snapshot.spec.endSource || existsSync(ended) || (await hasEnded(snapshot, pod))))
      return { ...kept, sizeBytes: await treeBytes(directory, stop.signal) }
    await removeTree(directory)
    return undefined
  }

  /** An agent that was killed may not have noted it. Its sandbox goes once the Pod's status says so. */
  async function hasEnded(snapshot: SandboxSnapshot, pod: PodObject | undefined): Promise<boolean> {
    if (pod && statusesOf(pod).some(({ state }) => state?.terminated?.reason === TERMINATION_REASONS.checkpointed))
      return true
    const sandbox = await sandboxOf(snapshot)
    return sandbox?.containers.some(({ state }) => state.phase === 'exited' && state.reason === 'checkpointed') ?? false
  }

  async function keep(snapshot: SandboxSnapshot, pod: PodObject | undefined): Promise<Snapshot> {
    const sandbox = pod && (await sandboxOf(snapshot))
    if (!sandbox || pod.metadata.deletionTimestamp)
      throw new SnapshotError(REASONS.sandboxGone, `the Pod of Sandbox ${snapshot.spec.sandboxName} is gone`)
    if (sandbox.spec.shared && initContainers(pod).length > 0)
      throw new SnapshotError(
        REASONS.notSupported,
        `Pod ${pod.metadata.name} has init containers, which would run again before what is kept: leave them out`,
      )
    const problem = problemOf(pod, sandbox)
    if (problem !== undefined) throw new SnapshotError(REASONS.notSupported, problem)
    const { uid = '', namespace = '' } = snapshot.metadata
    const { endSource } = snapshot.spec
    const own = await ownVolumes(pod, { directories, sources })
    // A suspended Sandbox keeps its claims, and nobody else writes to them.
    const volumes = endSource ? own.filter((volume) => !('claimUid' in volume)) : own
    const expected = await mostBytes(sandbox.spec.id)
    requireQuota(namespace, expected)
    await requireRoom(expected)
    await mkdir(directories.snapshot(uid), { recursive: true, mode: 0o700 })
    ledger.enter(uid, { namespace, bytes: expected })
    const files = snapshotFiles(directories, snapshot)
    // There is room for it now.
    const ending = `${files.ended}.new`
    if (endSource) await writeFile(ending, '', { mode: 0o600 })
    const { signal } = stop
    const { programs } = directories
    // What its processes know to be written has to be there when they go on.
    const claimed = own.filter((volume) => !volumes.includes(volume)).map(({ path }) => path)
    const copied = volumes.length > 0 ? [files.volumes] : []
    let volumeBytes = 0
    const kept = await runtime.checkpoint(sandbox.spec.id, {
      directory: files.memory,
      leaveRunning: !endSource,
      ...(own.length > 0 && {
        whilePaused: async () => {
          if (volumes.length > 0) volumeBytes = await keepVolumes(volumes, { target: files.volumes, programs, signal })
          // What goes on stands still no longer than it takes to copy them.
          if (endSource) await putOnDisk([...copied, ...claimed], { signal })
        },
      }),
    })
    if (!endSource) await putOnDisk(copied, { signal })
    // Where it cannot be noted there is still the Pod that says so; what was kept is all that is left of the source.
    if (endSource) await rename(ending, files.ended).catch((error: unknown) => onError(error, 'snapshot'))
    return { ...kept, sizeBytes: kept.sizeBytes + volumeBytes }
  }

  /** What the snapshot of a sandbox has at most: its memory, and what it wrote to the root file systems of its containers. */
  async function mostBytes(sandboxId: string): Promise<number> {
    const [usage, written] = await Promise.all([runtime.usage(sandboxId), runtime.written(sandboxId)])
    return (usage?.workingSetBytes ?? 0) + (written ?? 0)
  }

  /** Not begun where it may fill the disk: meanwhile everybody else on the node would have none. */
  async function requireRoom(expected: number): Promise<void> {
    const { bavail, bsize } = await statfs(directories.snapshots)
    const left = bavail * bsize
    if (left >= expected + RESERVE_BYTES) return
    throw new SnapshotError(
      REASONS.diskFull,
      `the disk has ${left} bytes left, expected ${expected} for the snapshot and ${RESERVE_BYTES} beside it: make room`,
    )
  }

  /** Those of a namespace are counted by what the node itself made for it: nobody uses up what is another's. */
  function requireQuota(namespace: string, expected: number): void {
    const used = ledger.used(namespace)
    if (used < quotaBytes && used + expected <= quotaBytes) return
    throw new SnapshotError(
      REASONS.quotaExceeded,
      `the snapshots of namespace ${namespace} on node ${nodeName} have ${used} of ${quotaBytes} bytes, and this one would have up to ${expected} more: delete some`,
    )
  }

  async function sandboxOf(snapshot: SandboxSnapshot): Promise<Awaited<ReturnType<Runtime['get']>>> {
    const id = options.sandboxIdOf(snapshot.status?.podUID ?? '')
    return id === undefined ? undefined : await runtime.get(id)
  }

  async function removeFiles(uid: string): Promise<void> {
    const directory = directories.snapshot(uid)
    ledger.forget(uid)
    if (!existsSync(directory)) return
    // Out of the way in one step: half a snapshot must not look like one.
    const doomed = directories.snapshot(`removed.${uid}`)
    await rename(directory, doomed).catch(() => undefined)
    await removeTree(doomed)
  }

  type StatusChange = Omit<NonNullable<SandboxSnapshot['status']>, 'conditions'> & {
    conditions: Array<Pick<ConditionState, 'status' | 'reason' | 'message'>>
  }

  async function writeStatus(snapshot: SandboxSnapshot, change: StatusChange): Promise<void> {
    const { name = '', namespace, uid, generation = 0 } = snapshot.metadata
    const conditions = mergeConditions(
      snapshot.status?.conditions,
      change.conditions.map((condition) => ({ type: 'Ready', observedGeneration: generation, ...condition })),
      { now: now() },
    )
    const body = { metadata: { uid }, status: { ...change, conditions } }
    try {
      informer.observe(await client.patchStatus(sandboxSnapshots, name, body, { namespace }))
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error
    }
  }

  async function releaseFinalizer({ metadata }: SandboxSnapshot): Promise<void> {
    const { name = '', namespace, uid, resourceVersion, finalizers = [] } = metadata
    const kept = finalizers.filter((finalizer) => finalizer !== SNAPSHOT_FINALIZERS.files)
    try {
      const body = { metadata: { uid, resourceVersion, finalizers: kept } }
      await client.patch(sandboxSnapshots, name, body, { namespace })
    } catch (error) {
      if (!isNotFound(error)) throw error
    }
  }

  return {
    idle: () => queue.idle(),
    async [Symbol.asyncDispose]() {
      stop.abort()
      handler[Symbol.dispose]()
      await queue[Symbol.asyncDispose]()
    },
  }
}

/** Cut off while it was written, or by another version. Whatever else keeps it from being read may be over at the next try. */
function unlessUseless(error: unknown): undefined {
  const { code } = error as { code?: RuntimeErrorCode }
  if (code !== 'snapshot-damaged' && code !== 'snapshot-incompatible') throw error
}

/** Why nothing could begin with what runs in a Pod: it does so with all of its containers, and with no others. */
function problemOf(pod: PodObject, { spec, containers }: Sandbox): string | undefined {
  const running = new Set(containers.flatMap(({ spec, state }) => (state.phase === 'running' ? [spec.name ?? ''] : [])))
  if (running.size === 0) return undefined
  const own = specOf(pod).containers.map(({ name }) => name)
  const missing = own.find((name) => !running.has(name))
  const { name } = pod.metadata
  if (missing !== undefined)
    return `container ${missing} of Pod ${name} does not run: what begins with a snapshot needs all of them in it`
  const other = spec.shared ? [...running].find((each) => !own.includes(each)) : undefined
  if (other !== undefined)
    return `container ${other} was put into Pod ${name}, and what begins with a snapshot has no such: it has to end first`
  return undefined
}

function isSettled(snapshot: SandboxSnapshot): boolean {
  return isConditionTrue(snapshot.status?.conditions, 'Ready') || hasSnapshotFailed(snapshot)
}

class SnapshotError extends Error {
  override readonly name = 'SnapshotError'
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

const RUNTIME_REASONS: Partial<Record<RuntimeErrorCode, string>> = {
  'disk-full': REASONS.diskFull,
  'snapshot-incompatible': REASONS.notSupported,
  'not-found': REASONS.sandboxGone,
}

function failureReason(error: unknown): string {
  if (error instanceof SnapshotError) return error.code
  if (error instanceof VolumesTooLargeError) return REASONS.diskFull
  const { code } = error as { code?: string }
  if (code === 'ENOSPC' || code === 'EDQUOT') return REASONS.diskFull
  return RUNTIME_REASONS[code as RuntimeErrorCode] ?? REASONS.checkpointFailed
}
