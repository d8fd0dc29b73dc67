/** Starts what only the embedded cluster needs, each on a workqueue of its own. */
import {
  type AnyObject,
  type Client,
  createWorkqueue,
  type Informer,
  type Informers,
  keyOf,
  type PodObject,
  resources,
  type Workqueue,
} from '@caisson/client'
import {
  BY_LABEL,
  endpointChanged,
  labelPairs,
  reconcileService,
  SLICES_BY_SERVICE,
  selectorPair,
  serviceOfSlice,
} from './endpoints/reconcile-slices.ts'
import { collect } from './garbage/collect.ts'
import { watchObjects } from './garbage/object-watcher.ts'
import { createOwnershipGraph } from './garbage/ownership-graph.ts'
import { reconcileNamespace } from './namespaces.ts'
import { startNodeControllers } from './nodes/start-node-controllers.ts'
import { priorityOf } from './scheduler/choose-preemption.ts'
import { createNodeLoads, isFinished } from './scheduler/node-loads.ts'
import { isPending, schedule } from './scheduler/schedule.ts'
import { reconcileNamespaceAccounts } from './service-accounts.ts'
import { claimsOf, PODS_BY_CLAIM, reconcileClaim, reconcileVolume } from './volumes/bind.ts'
import { startWorkloadsWhenNeeded } from './workloads/start-when-needed.ts'

export interface ControlPlaneOptions {
  /** Of the user system:kube-controller-manager, which may see and delete everything. */
  client: Client
  informers: Informers
  /** The cluster's CA certificate, PEM. */
  ca: string
  /** Where provisioned volumes have their directories. */
  volumesDirectory: string
  /** Removes the directory of a volume with all that containers put there, whatever its depth. */
  removeTree(directory: string): Promise<void>
  /** Records an event about an object; `component` is who says it. */
  record(
    component: string,
    object: AnyObject,
    event: { type: 'Normal' | 'Warning'; reason: string; message: string },
  ): void
  /** What went wrong and will be tried again. */
  onError(error: unknown, where: string): void
  signal: AbortSignal
  /** What nobody waits for begins when it resolves, which it must; at once unless given. */
  othersStarted?: Promise<void>
}

/** Resolves when every part has seen the cluster once and works. Disposing stops them and waits for running passes. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<AsyncDisposable> {
  const { client, informers, record, signal } = options
  const now = (): number => Date.now()
  const stack = new AsyncDisposableStack()
  const queue = (name: string, process: (key: string) => Promise<void>, concurrency = 1): Workqueue =>
    stack.use(
      createWorkqueue({
        process,
        concurrency,
        onError: (error, key) => options.onError(error, `${name} ${key}`),
      }),
    )
  const on = <T extends AnyObject>(
    informer: Informer<T>,
    changed: (object: T, old?: T) => void,
    gone?: (object: T) => void,
  ): void => {
    stack.use(
      informer.handle({
        added: (object) => changed(object),
        updated: (old, object) => changed(object, old),
        deleted: (object) => gone?.(object),
      }),
    )
  }

  const pods = informers.of(resources.pods, {
    indexers: { [PODS_BY_CLAIM]: claimsOf, [BY_LABEL]: labelPairs },
  })
  const services = informers.of(resources.services, { indexers: { [BY_LABEL]: selectorPair } })
  const slices = informers.of(resources.endpointSlices, { indexers: { [SLICES_BY_SERVICE]: serviceOfSlice } })
  const endpoints = informers.of(resources.endpoints)
  const nodes = informers.of(resources.nodes)
  informers.of(resources.leases)
  informers.of(resources.podDisruptionBudgets)
  const namespaces = informers.of(resources.namespaces)
  const claims = informers.of(resources.persistentVolumeClaims)
  const volumes = informers.of(resources.persistentVolumes)
  const classes = informers.of(resources.storageClasses)
  const accounts = informers.of(resources.serviceAccounts)
  const maps = informers.of(resources.configMaps)
  await informers.synced(signal)

  // Handlers are called at once for what is there, so the queues that they fill come first.
  const volumeContext = {
    client,
    informers,
    directory: options.volumesDirectory,
    removeTree: options.removeTree,
    signal,
    record: (about: AnyObject, event: { type: 'Normal' | 'Warning'; reason: string; message: string }): void =>
      record('persistentvolume-controller', about, event),
  }
  const claimQueue = queue('binding claim', (key) => reconcileClaim(key, volumeContext))
  const volumeQueue = queue('volume', (key) => reconcileVolume(key, volumeContext))

  // Scheduler. Binding is one small request: several Pods at a time.
  const loads = createNodeLoads()
  const unschedulable = new Set<string>()
  const podQueue = queue(
    'scheduling',
    async (key) => {
      const pod = pods.get(key)
      const outcome =
        pod &&
        (await schedule(pod, {
          client,
          informers,
          loads,
          now,
          signal,
          record: (about, event) => record('default-scheduler', about, event),
        }))
      if (outcome === 'unschedulable') unschedulable.add(key)
      else unschedulable.delete(key)
    },
    8,
  )
  const enqueue = (key: string): void => {
    const pod = pods.get(key)
    podQueue.add(key, { priority: pod ? priorityOf(pod) : 0 })
  }
  // Whatever may have made room, or bound a claim, gives those who wait another chance.
  const roomMade = (): void => {
    for (const key of unschedulable) enqueue(key)
  }
  on(
    pods,
    (pod, old) => {
      loads.observe(pod)
      if (old && isFinished(pod) && !isFinished(old)) roomMade()
      if (isPending(pod)) enqueue(keyOf(pod))
      for (const claim of claimsOf(pod)) claimQueue.add(claim)
    },
    (pod) => {
      loads.forget(pod)
      unschedulable.delete(keyOf(pod))
      roomMade()
      for (const claim of claimsOf(pod)) claimQueue.add(claim)
    },
  )
  on(nodes, (node, old) => {
    if (!old || nodeShape(old) !== nodeShape(node)) roomMade()
  })

  // Volumes.
  const volumeOf = (claim: { spec?: { volumeName?: string } }): void => {
    if (claim.spec?.volumeName) volumeQueue.add(claim.spec.volumeName)
  }
  on(
    claims,
    (claim, old) => {
      claimQueue.add(keyOf(claim))
      if (claim.status?.phase === 'Bound' && old?.status?.phase !== 'Bound') roomMade()
    },
    volumeOf,
  )
  const claimOf = (volume: { spec?: { claimRef?: { namespace?: string; name?: string } } }): void => {
    const reference = volume.spec?.claimRef
    if (reference?.name) claimQueue.add(`${reference.namespace}/${reference.name}`)
  }
  on(
    volumes,
    (volume) => {
      volumeQueue.add(keyOf(volume))
      claimOf(volume)
      // A volume that nobody has may be what a claim waits for.
      if (!volume.spec?.claimRef)
        for (const claim of claims.list()) if (!claim.spec?.volumeName) claimQueue.add(keyOf(claim))
    },
    claimOf,
  )
  on(classes, () => {
    for (const claim of claims.list()) if (!claim.spec?.volumeName) claimQueue.add(keyOf(claim))
  })

  // EndpointSlices and Endpoints. A Pod's labels name the few Services that may select it.
  const sliceQueue = queue('endpoints of', (key) => reconcileService(key, { client, informers, signal }), 4)
  const selecting = (pod: PodObject): void => {
    for (const pair of labelPairs(pod)) for (const each of services.byIndex(BY_LABEL, pair)) sliceQueue.add(keyOf(each))
  }
  const serviceChanged = (service: AnyObject): void => sliceQueue.add(keyOf(service))
  on(services, serviceChanged, serviceChanged)
  on(
    pods,
    (pod, old) => {
      if (old && !endpointChanged(old, pod)) return
      if (old) selecting(old)
      selecting(pod)
    },
    selecting,
  )
  const sliceChanged = (slice: AnyObject): void => {
    for (const key of serviceOfSlice(slice)) sliceQueue.add(key)
  }
  on(slices, sliceChanged, sliceChanged)
  on(endpoints, serviceChanged, serviceChanged)

  // Garbage collection, and the emptying of namespaces, over every kind there is.
  const graph = createOwnershipGraph((owner) => watcher?.knows(owner.apiVersion, owner.kind) ?? false)
  let watcher: Awaited<ReturnType<typeof watchObjects>> | undefined
  const early: string[] = []
  const decideAgain = (uids: readonly string[]): void => {
    if (garbageQueue) for (const uid of uids) garbageQueue.add(uid)
    else early.push(...uids)
  }
  let garbageQueue: Workqueue | undefined
  let namespaceQueue: Workqueue | undefined
  watcher = stack.use(
    await watchObjects({
      client,
      informers,
      signal,
      changed(resource, object) {
        decideAgain(graph.observe(resource, object))
      },
      gone(resource, object) {
        decideAgain(graph.forget(object.metadata.uid ?? ''))
        if (object.metadata.namespace && resource !== 'namespaces') terminating(object.metadata.namespace)
      },
    }),
  )
  const everything = watcher
  // Nothing is judged an orphan before all kinds have been seen.
  await everything.synced(signal)
  garbageQueue = queue('collecting', (uid) => collect(uid, { client, watcher: everything, graph, signal }), 4)
  decideAgain(early)

  stack.use(
    startWorkloadsWhenNeeded(
      { client, informers, record, onError: options.onError, now, signal },
      options.othersStarted,
    ),
  )

  stack.use(
    startNodeControllers({
      client,
      informers,
      record: (about, event) => record('node-controller', about, event),
      now,
      signal,
      onError: options.onError,
    }),
  )

  namespaceQueue = queue('emptying namespace', async (name) => {
    await reconcileNamespace(namespaces.get(name), { client, watcher: everything, graph, now, signal })
  })
  function terminating(name: string): void {
    if (namespaces.get(name)?.metadata.deletionTimestamp) namespaceQueue?.add(name)
  }
  const accountQueue = queue(
    'service account',
    (namespace) => reconcileNamespaceAccounts(namespace, { client, informers, ca: options.ca, signal }),
    4,
  )
  on(namespaces, (namespace) => {
    accountQueue.add(keyOf(namespace))
    terminating(keyOf(namespace))
  })
  const remade = (object: AnyObject): void => accountQueue.add(object.metadata.namespace ?? '')
  on(
    accounts,
    () => {},
    (account) => account.metadata.name === 'default' && remade(account),
  )
  on(
    maps,
    (map, old) => old && map.metadata.name === 'kube-root-ca.crt' && remade(map),
    (map) => map.metadata.name === 'kube-root-ca.crt' && remade(map),
  )
  return stack
}

/** What of a node decides whether a Pod fits: its heartbeats do not. */
function nodeShape(node: {
  metadata: AnyObject['metadata']
  spec?: unknown
  status?: { allocatable?: unknown }
}): string {
  return JSON.stringify([node.metadata.labels, node.spec, node.status?.allocatable])
}
