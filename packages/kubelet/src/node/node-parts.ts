/** What the Pods of this node are made from and with: it is there before any of them is looked at. */
import { mkdir, readdir } from 'node:fs/promises'
import { limitConcurrency } from '@caisson/api'
import {
  type Client,
  type EventRecorder,
  type Informer,
  type Informers,
  type PodObject,
  resources,
} from '@caisson/client'
import type { NetworkGate, PodAddress } from '@caisson/network'
import type { Runtime, Sandbox } from '@caisson/runtime'
import { type ImageCollector, startImageCollector } from '../images/collect-images.ts'
import { type ContainerImages, createContainerImages } from '../images/container-images.ts'
import { type PodDirectories, podDirectories } from '../pod-directories.ts'
import { createPodSources, type OwnedPodSources } from '../pod-sources.ts'
import type { LeftPods } from '../pods/left-pods.ts'
import { SANDBOX_LABELS } from '../pods/observe-pod.ts'
import { createPodEvents, type PodEvents } from '../pods/pod-events.ts'
import { createPodNotices, type PodNotices } from '../pods/pod-notices.ts'
import { createPodWork, type PodWork } from '../pods/pod-work.ts'
import { type HeldVolumes, openHeldVolumes } from '../volumes/held-volumes.ts'
import { createSecretsMemory, type SecretsMemory } from '../volumes/secrets-memory.ts'
import { type Machine, readMachine } from './machine.ts'

export interface NodePartsOptions {
  /** Acts as the node. */
  client: Client
  informers: Informers
  runtime: Runtime
  network: NetworkGate
  recorder: Pick<EventRecorder, 'record'>
  /** Private directory for Pods' files and logs; made where it is missing. */
  dataDir: string
  nodeName: string
  /** Of this machine, where others reach it; default what `readMachine` finds. */
  address?: string | undefined
  /** Whether Pods may have the image `caisson.dev/host`, a view of this machine. */
  hostImage: boolean
  /** What images may take on the disk together; as much as there is where it is not given. */
  imageBytes?: number | undefined
  /** What files of Secrets and tokens may take in memory together; an eighth of the machine's where it is not given. */
  secretsBytes?: number | undefined
  signal: AbortSignal
  onError(error: unknown, where: string): void
}

export interface NodeParts extends AsyncDisposable {
  directories: PodDirectories
  machine: Machine
  /** Its Node. */
  self: Informer<NonNullable<typeof resources.nodes.object>>
  /** Bound to it. */
  pods: Informer<PodObject>
  /** By an earlier agent. */
  left: LeftPods
  notices: PodNotices
  sources: OwnedPodSources
  events: PodEvents
  /** Starts as many at a time as the machine can. */
  runtime: Runtime
  images: ContainerImages
  collector: ImageCollector
  secretsMemory: SecretsMemory
  heldVolumes: HeldVolumes
  work: PodWork
}

/** Starting a container keeps a core busy for a fifth of a second; to go on in what was made ahead takes half of that. */
const STARTS_PER_CPU = 2
const RESTORES_PER_CPU = 4

/** Resolves when the caches are filled, and the network has what an earlier agent left running. */
export async function openNodeParts(options: NodePartsOptions & { now: () => number }): Promise<NodeParts> {
  const { client, informers, nodeName, recorder, signal, onError, now } = options
  const directories = podDirectories(options.dataDir)
  await mkdir(directories.pods, { recursive: true, mode: 0o700 })
  await mkdir(directories.logs, { recursive: true, mode: 0o700 })
  await using stack = new AsyncDisposableStack()
  const notices = createPodNotices()
  const pods = informers.of(resources.pods, { fieldSelector: `spec.nodeName=${nodeName}` })
  const self = informers.of(resources.nodes, { fieldSelector: `metadata.name=${nodeName}` })
  const sources = stack.use(createPodSources({ client, informers, onChanged: (uid) => notices.tell(uid, 'changed') }))
  // Of those too that were taken and never begun.
  stack.use(pods.handle({ deleted: ({ metadata }) => sources.references.leave(metadata.uid ?? '') }))
  const [sandboxes, machine] = await Promise.all([
    options.runtime.recover(signal, onError),
    readMachine(options.dataDir, options.address),
  ])
  await informers.synced(signal)
  await options.network.adopt(sandboxes.flatMap(addressOf))
  const directoriesOf = new Set(await readdir(directories.pods))
  const heldVolumes = await openHeldVolumes(directories, directoriesOf)
  const events = createPodEvents(recorder)
  const { images: store } = options.runtime
  const collector = stack.use(
    startImageCollector({
      images: store,
      maxBytes: options.imageBytes,
      record: (event) => recorder.record({ apiVersion: 'v1', kind: 'Node', name: nodeName, uid: nodeName }, event),
      onError,
    }),
  )
  const images = stack.use(
    createContainerImages({
      images: store,
      hostImage: options.hostImage,
      sources,
      events,
      now,
      onPulled(uid) {
        void collector.look()
        notices.tell(uid, 'look')
      },
      onError,
    }),
  )
  const secretsMemory = stack.use(createSecretsMemory({ directories, onError, sizeBytes: options.secretsBytes }))
  const work = stack.use(createPodWork((uid) => notices.tell(uid, 'look')))
  const owned = stack.move()
  return {
    directories,
    machine,
    self,
    pods,
    left: { sandboxes, directoriesOf },
    notices,
    sources,
    events,
    runtime: limitStarts(options.runtime, machine.cpus),
    images,
    collector,
    secretsMemory,
    heldVolumes,
    work,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
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
