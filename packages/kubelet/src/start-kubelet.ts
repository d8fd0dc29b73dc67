/** The node agent: turns the Pods that are bound to this node into containers, and serves what is asked of them. */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { limitConcurrency } from '@caisson/api'
import { type Client, type EventRecorder, type Informers, type PodObject, resources } from '@caisson/client'
import type { NetworkGate, PodAddress } from '@caisson/network'
import type { Runtime, Sandbox } from '@caisson/runtime'
import { startPressureWatch } from './eviction/pressure-watch.ts'
import { startImageCollector } from './images/collect-images.ts'
import { createContainerImages } from './images/container-images.ts'
import { type Machine, readMachine } from './node/machine.ts'
import { type NodeFacts, nodeResources, type OwnNodeFields } from './node/node-object.ts'
import { forgetEnds, readEnds } from './node/recorded-ends.ts'
import { registerNode } from './node/register-node.ts'
import { stopNode } from './node/stop-node.ts'
import { type PodDirectories, podDirectories } from './pod-directories.ts'
import { createPodSources } from './pod-sources.ts'
import { createFakePods } from './pods/fake-pods.ts'
import { misfit, resizeRefusal } from './pods/node-fit.ts'
import { SANDBOX_LABELS } from './pods/observe-pod.ts'
import type { Eviction } from './pods/observed-pod.ts'
import { createPodActions } from './pods/pod-actions.ts'
import { podRejection } from './pods/pod-admission.ts'
import { createPodEngine, type PodEngine } from './pods/pod-engine.ts'
import { createPodEvents } from './pods/pod-events.ts'
import { createPodWork } from './pods/pod-work.ts'
import { servedPods } from './pods/served-pods.ts'
import { startNodeSnapshots } from './snapshots/node-snapshots.ts'
import { snapshotImages } from './snapshots/snapshot-images.ts'
import { createSummary } from './stats/summary.ts'
import { createNodeApi, type NodeApi, type NodeApiOptions } from './streaming/node-api.ts'
import type { SystemProcesses } from './system/system-processes.ts'
import { openHeldVolumes, type VolumesInUse } from './volumes/held-volumes.ts'
import { createSecretsMemory } from './volumes/secrets-memory.ts'

export interface StartKubeletOptions {
  /** Acts as the node. */
  client: Client
  informers: Informers
  runtime: Runtime
  network: NetworkGate
  recorder: Pick<EventRecorder, 'record'>
  /** Private directory for Pods' files and logs; made where it is missing. */
  dataDir: string
  nodeName: string
  /** Serve the RuntimeClass handler `fake`, whose Pods are Ready without a container. */
  fake: boolean
  /** Processes of the cluster's own that show as Pods of this node. */
  processes?: SystemProcesses
  /** Who answers in a Sandbox's place, for clients that may execute in it; nobody unless given. */
  answerFor?: NonNullable<NodeApiOptions['answerFor']>
  signal: AbortSignal
  onError(error: unknown, where: string): void
  /** Whether Pods may have the image `caisson.dev/host`, a view of this machine. */
  hostImage: boolean
  /** Of this machine, where others reach it; default what `readMachine` finds. */
  address?: string | undefined
  /** Where `api` is served over HTTPS. */
  apiPort?: number | undefined
  /** Labels, annotations and taints of its Node beside those that every node has. */
  ownFields?: OwnNodeFields | undefined
  /** How names are resolved within the cluster. */
  dns?: { clusterDomain: string; servers: readonly string[] }
  /** As the Node reports it; default `v1.34.0`. */
  version?: string
  now?: () => number
  /** Directories of which hostPath volumes may be; any where it is not given. */
  hostPaths?: readonly string[] | undefined
  /** Kernel parameters that Pods may have beside the safe ones, as `sysctlPatternProblem` knows them; none unless given. */
  allowedSysctls?: readonly string[] | undefined
  /** What images may take on the disk together; as much as there is where it is not given. */
  imageBytes?: number | undefined
  /** What the snapshots of one namespace may take on the disk together; 16 GiB where it is not given. */
  snapshotBytes?: number
  /** What files of Secrets and tokens may take in memory together; an eighth of the machine's where it is not given. */
  secretsBytes?: number | undefined
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

const DEFAULT_DOMAIN = 'cluster.local'
const PODS = 1_000
const PODS_WITH_FAKE = 20_000
/** Starting a container keeps a core busy for a fifth of a second; to go on in what was made ahead takes half of that. */
const STARTS_PER_CPU = 2
const RESTORES_PER_CPU = 4

/**
 * Resolves when the node is registered, what an earlier agent left running has been taken over, and the API knows what
 * has ended since then.
 */
export async function startKubelet(options: StartKubeletOptions): Promise<Kubelet> {
  const { client, informers, nodeName, signal, onError, now = Date.now } = options
  const directories = podDirectories(options.dataDir)
  await mkdir(directories.pods, { recursive: true, mode: 0o700 })
  await mkdir(directories.logs, { recursive: true, mode: 0o700 })
  await using stack = new AsyncDisposableStack()

  const pods = informers.of(resources.pods, { fieldSelector: `spec.nodeName=${nodeName}` })
  const self = informers.of(resources.nodes, { fieldSelector: `metadata.name=${nodeName}` })
  const sources = stack.use(
    createPodSources({
      client,
      informers,
      onChanged: (uid) => engine.refresh(uid),
    }),
  )
  // Of those too that were taken and never begun.
  stack.use(pods.handle({ deleted: ({ metadata }) => sources.references.leave(metadata.uid ?? '') }))
  const [adopted, machine] = await Promise.all([
    options.runtime.recover(signal),
    readMachine(options.dataDir, options.address),
  ])
  await informers.synced(signal)
  await options.network.adopt(adopted.flatMap(addressOf))

  const facts = async (): Promise<NodeFacts> => {
    const handlers = new Map(
      [...(await options.runtime.handlers())].map(([name, { version }]) => [name as string, version]),
    )
    if (options.fake) handlers.set('fake', '1')
    const pods = options.fake ? PODS_WITH_FAKE : PODS
    const shown = options.fake ? withFakeRoom(machine) : machine
    const version = options.version ?? 'v1.34.0'
    const { apiPort, ownFields: own } = options
    return { name: nodeName, machine: shown, handlers, pods, version, pressures: pressure.pressures(), apiPort, own }
  }
  const directoriesOf = new Set(await readdir(directories.pods))
  const heldVolumes = await openHeldVolumes(directories, directoriesOf)
  const events = createPodEvents(options.recorder)
  const runtime = limitStarts(options.runtime, machine.cpus)
  const images = stack.use(
    createContainerImages({
      images: options.runtime.images,
      hostImage: options.hostImage,
      sources,
      events,
      now,
      onPulled(uid) {
        void collector.look()
        engine.enqueue(uid)
      },
      onError,
    }),
  )
  const collector = stack.use(
    startImageCollector({
      images: options.runtime.images,
      maxBytes: options.imageBytes,
      keep: () => snapshotImages(directories),
      record: (event) =>
        options.recorder.record({ apiVersion: 'v1', kind: 'Node', name: nodeName, uid: nodeName }, event),
      onError,
    }),
  )
  const secretsMemory = stack.use(createSecretsMemory({ directories, onError, sizeBytes: options.secretsBytes }))
  const actions = createPodActions({
    runtime,
    images,
    network: options.network,
    sources,
    directories,
    events,
    snapshots: () => snapshots,
    hostPaths: options.hostPaths,
    secretsMemory,
    heldVolumes,
    work: stack.use(createPodWork((uid) => engine.enqueue(uid))),
    place: {
      hostIp: machine.address,
      nodeName,
      allocatable: nodeResources({ machine, pods: PODS }),
    },
    dns: {
      clusterDomain: options.dns?.clusterDomain ?? DEFAULT_DOMAIN,
      clusterServers: options.dns?.servers ?? [],
      hostConfig: await readFile('/etc/resolv.conf', 'utf8').catch(() => ''),
    },
    now,
    onStarting: (uid) => engine.starts(uid),
    onStopped: (uid) => engine.enqueue(uid),
    onError,
  })
  const pressure = stack.use(
    startPressureWatch({
      directory: options.dataDir,
      pods: () => pods.list(),
      usageOf: async (pod, resource) => {
        if (resource === 'ephemeral-storage' || resource === 'inodes') return await engine.storageOf(pod)
        const sandboxId = engine.memory(pod.metadata.uid ?? '')?.sandboxId
        const usage = sandboxId === undefined ? undefined : await options.runtime.usage(sandboxId)
        return resource === 'memory' ? usage?.workingSetBytes : usage?.pids
      },
      keeps(uid) {
        const memory = engine.memory(uid)
        return memory !== undefined && (memory.sandboxId !== undefined || memory.hasDirectory)
      },
      reclaimDisk: () => collector.look(),
      onChanged: () => node.changed(),
      onEvict: (uid) => engine.enqueue(uid),
      now,
      onError,
      intervalMs: options.pressureIntervalMs,
    }),
  )
  const node = stack.use(await registerNode({ client, facts, signal, now, onError }))
  const rejection = (pod: PodObject): Eviction | undefined => podRejection(pod, options.allowedSysctls)
  const fakePods = options.fake
    ? createFakePods({ hostIp: machine.address, rejection, now, present: pods.list() })
    : undefined
  const engine: PodEngine = stack.use(
    createPodEngine({
      client,
      informer: pods,
      runtime,
      sources,
      directories,
      actions,
      events,
      fakePods,
      processes: options.processes,
      hostIp: machine.address,
      left: { sandboxes: adopted, directoriesOf },
      ends: await readEnds(options.dataDir),
      misfit(pod, others) {
        const node = self.get(nodeName)
        return (node && misfit(pod, node, others)) ?? sources.references.take(pod)
      },
      resizeRefusal(pod, others) {
        const node = self.get(nodeName)
        return node && resizeRefusal(pod, node, others)
      },
      rejection,
      evictionOf: (uid) => pressure.evictionOf(uid),
      now,
      onError,
    }),
  )
  try {
    stack.use(options.runtime.images.onNamed(() => engine.imagesChanged()))
  } catch (error) {
    // They look again now and then.
    onError(error, 'Pods that wait for images are not told when these come')
  }
  const snapshots = stack.use(
    await startNodeSnapshots({
      client,
      informers,
      runtime: options.runtime,
      directories,
      nodeName,
      pods,
      sources,
      ...(options.snapshotBytes !== undefined && { quotaBytes: options.snapshotBytes }),
      engine: () => engine,
      now,
      onError,
    }),
  )
  // Whoever asks from here on hears nothing of containers that are no more.
  await engine.caughtUp
  await forgetEnds(options.dataDir)
  await removeOrphanedLogs(
    directories,
    pods.list(),
    adopted.map(({ spec }) => spec.labels[SANDBOX_LABELS.uid] ?? ''),
  )

  const api = createNodeApi({
    runtime: options.runtime,
    summary: createSummary({
      nodeName,
      runtime: options.runtime,
      pods: () => pods.list(),
      directory: options.dataDir,
      now,
    }),
    list: () => pods.list(),
    connected: (uid) => engine.connected(uid),
    ...(options.answerFor && { answerFor: options.answerFor }),
    pods: servedPods({
      informer: pods,
      engine,
      runtime: options.runtime,
      directories,
      sources,
      processes: options.processes,
      fakePods,
    }),
    now,
  })
  const owned = stack.move()
  return {
    api,
    volumesInUse: heldVolumes,
    async idle() {
      // What was written in this process until now has been heard of by then.
      await new Promise(setImmediate)
      await engine.idle()
    },
    async stopAll(stopOptions) {
      // Nothing may start what is being stopped.
      await owned.disposeAsync()
      await stopNode({ runtime: options.runtime, dataDir: options.dataDir, ...stopOptions })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Pods that are nothing need nothing: what they ask for must not keep them from a small machine. */
function withFakeRoom(machine: Machine): Machine {
  const bytes = PODS_WITH_FAKE * 2 ** 30
  return { ...machine, cpus: PODS_WITH_FAKE, memoryBytes: bytes, storageBytes: bytes }
}

function addressOf({ ip, spec: { labels } }: Sandbox): PodAddress[] {
  const uid = labels[SANDBOX_LABELS.uid]
  if (ip === undefined || uid === undefined) return []
  return [{ uid, ip, isolated: labels[SANDBOX_LABELS.isolated] === 'true' }]
}

function limitStarts(runtime: Runtime, cpus: number): Runtime {
  const starts = limitConcurrency(cpus * STARTS_PER_CPU)
  const restores = limitConcurrency(cpus * RESTORES_PER_CPU)
  return {
    ...runtime,
    createSandbox(spec, signal) {
      const limited = spec.snapshot === undefined ? starts : restores
      return limited(() => runtime.createSandbox(spec, signal), signal)
    },
    startContainer: (spec, signal) => starts(() => runtime.startContainer(spec, signal), signal),
    restoreContainer: (spec, directory, signal) =>
      restores(() => runtime.restoreContainer(spec, directory, signal), signal),
  }
}

/** Logs of Pods that went while no agent was there to see it. Their other files are the engine's to remove. */
async function removeOrphanedLogs(
  directories: PodDirectories,
  pods: readonly PodObject[],
  adopted: readonly string[],
): Promise<void> {
  const known = new Set([...pods.map(({ metadata }) => metadata.uid ?? ''), ...adopted])
  for (const name of await readdir(directories.logs)) {
    const uid = name.slice(name.lastIndexOf('_') + 1)
    if (!known.has(uid)) await rm(join(directories.logs, name), { recursive: true, force: true })
  }
}
