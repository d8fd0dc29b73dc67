/** The node agent: turns the Pods that are bound to this node into containers, and serves what is asked of them. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startPressureWatch } from './eviction/pressure-watch.ts'
import type { Machine } from './node/machine.ts'
import type { OwnNodeFields } from './node/node-object.ts'
import { type NodeParts, openNodeParts } from './node/node-parts.ts'
import { forgetEnds } from './node/recorded-ends.ts'
import { type RegisteredNode, type RegisterNodeOptions, registerNode } from './node/register-node.ts'
import { stopNode } from './node/stop-node.ts'
import { SANDBOX_LABELS } from './pods/observe-pod.ts'
import type { Eviction } from './pods/observed-pod.ts'
import { PODS, type RunningPods, type RunPodsOptions, runPods } from './pods/run-pods.ts'
import { servedPods } from './pods/served-pods.ts'
import { createSummary } from './stats/summary.ts'
import { createNodeApi, type NodeApi, type NodeApiOptions } from './streaming/node-api.ts'
import type { VolumesInUse } from './volumes/held-volumes.ts'

export interface StartKubeletOptions extends RunPodsOptions {
  /** Who answers in a Sandbox's place, for clients that may execute in it; nobody unless given. */
  answerFor?: NonNullable<NodeApiOptions['answerFor']>
  /** Where `api` is served over HTTPS. */
  apiPort?: number | undefined
  /** Labels, annotations and taints of its Node beside those that every node has. */
  ownFields?: OwnNodeFields | undefined
  /** As the Node reports it; default `v1.34.0`. */
  version?: string
  now?: () => number
  /** How often it is looked whether the node is short of something; default 10 s. */
  pressureIntervalMs?: number | undefined
}

/** Disposing stops the agent and leaves containers running; the next agent takes them over. */
export interface Kubelet extends AsyncDisposable {
  /** For the API server: exec, attach, port-forward and logs. */
  api: NodeApi
  /** Of claims. */
  volumesInUse: VolumesInUse
  /** Stops every container of this node and takes its mounts away, as `stopNode` does. */
  stopAll(options?: { graceMs?: number }): Promise<void>
  /** Resolves when nothing is being done and nothing waits but for a time. */
  idle(): Promise<void>
}

const PODS_WITH_FAKE = 20_000

/**
 * Resolves when the node is registered, what an earlier agent left running has been taken over, and the API knows what
 * has ended since then.
 */
export async function startKubelet(given: StartKubeletOptions): Promise<Kubelet> {
  const options = { ...given, now: given.now ?? Date.now, evictions: new Map<string, Eviction>() }
  await using stack = new AsyncDisposableStack()
  const parts = stack.use(await openNodeParts(options))
  const node = stack.use(await registerNode({ ...options, facts: nodeFacts(options, parts) }))
  const running = stack.use(await runPods(options, parts))
  stack.use(watchPressure(options, parts, { node, ...running }))
  // Whoever asks from here on hears nothing of containers that are no more.
  await running.engine.caughtUp
  await forgetEnds(options.dataDir)
  await removeOrphanedLogs(parts)

  const owned = stack.move()
  return {
    api: serveNode(options, parts, running),
    volumesInUse: parts.heldVolumes,
    async idle() {
      // What was written in this process until now has been heard of by then.
      await new Promise(setImmediate)
      await running.engine.idle()
    },
    async stopAll(stopOptions) {
      // Nothing may start what is being stopped.
      await owned.disposeAsync()
      await stopNode({ runtime: options.runtime, dataDir: options.dataDir, ...stopOptions })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

type Options = StartKubeletOptions & { now: () => number; evictions: Map<string, Eviction> }

function nodeFacts(options: Options, { machine }: NodeParts): RegisterNodeOptions['facts'] {
  const { runtime, fake, nodeName: name, version = 'v1.34.0', apiPort, ownFields: own } = options
  const shown = fake ? withFakeRoom(machine) : machine
  const pods = fake ? PODS_WITH_FAKE : PODS
  return async () => {
    const handlers = new Map([...(await runtime.handlers())].map(([name, { version }]) => [name as string, version]))
    if (fake) handlers.set('fake', '1')
    return { name, machine: shown, handlers, pods, version, apiPort, own }
  }
}

function watchPressure(
  { dataDir, runtime, evictions, now, onError, pressureIntervalMs }: Options,
  { pods, collector, notices }: NodeParts,
  { node, engine }: RunningPods & { node: RegisteredNode },
): AsyncDisposable {
  return startPressureWatch({
    directory: dataDir,
    pods: () => pods.list(),
    usageOf: async (pod, resource) => {
      if (resource === 'ephemeral-storage' || resource === 'inodes') return await engine.storageOf(pod)
      const sandboxId = engine.memory(pod.metadata.uid ?? '')?.sandboxId
      const usage = sandboxId === undefined ? undefined : await runtime.usage(sandboxId)
      return resource === 'memory' ? usage?.workingSetBytes : usage?.pids
    },
    keeps(uid) {
      const memory = engine.memory(uid)
      return memory !== undefined && (memory.sandboxId !== undefined || memory.hasDirectory)
    },
    reclaimDisk: () => collector.look(),
    onChanged: (pressures) => node.isShortOf(pressures),
    evictions,
    onEvict: (uid) => notices.tell(uid, 'look'),
    now,
    onError,
    intervalMs: pressureIntervalMs,
  })
}

function serveNode(
  { nodeName, runtime, dataDir, answerFor, processes, now }: Options,
  { pods, directories, sources }: NodeParts,
  { engine, fakePods }: RunningPods,
): NodeApi {
  return createNodeApi({
    runtime,
    summary: createSummary({ nodeName, runtime, pods: () => pods.list(), directory: dataDir, now }),
    list: () => pods.list(),
    connected: (uid) => engine.connected(uid),
    ...(answerFor && { answerFor }),
    pods: servedPods({ informer: pods, engine, runtime, directories, sources, processes, fakePods }),
    now,
  })
}

/** Pods that are nothing need nothing: what they ask for must not keep them from a small machine. */
function withFakeRoom(machine: Machine): Machine {
  const bytes = PODS_WITH_FAKE * 2 ** 30
  return { ...machine, cpus: PODS_WITH_FAKE, memoryBytes: bytes, storageBytes: bytes }
}

/** Logs of Pods that went while no agent was there to see it. Their other files are the engine's to remove. */
async function removeOrphanedLogs({ directories, pods, left }: NodeParts): Promise<void> {
  const adopted = left.sandboxes.map(({ spec }) => spec.labels[SANDBOX_LABELS.uid] ?? '')
  const known = new Set([...pods.list().map(({ metadata }) => metadata.uid ?? ''), ...adopted])
  for (const name of await readdir(directories.logs)) {
    const uid = name.slice(name.lastIndexOf('_') + 1)
    if (!known.has(uid)) await rm(join(directories.logs, name), { recursive: true, force: true })
  }
}
