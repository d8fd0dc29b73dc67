/**
 * The Pods that are Sandboxes', found by Sandbox. Whatever a request says, nothing else is ever connected to: a Pod is
 * one only where it carries the hash of its Sandbox's name and that Sandbox controls it.
 */
import { AGENTS_GROUP, controllerOf, LABELS, nameHash, referenceGroup } from '@caisson/api'
import { type Client, createInformer, type PodObject, resources } from '@caisson/client'
import { isRoutable, type Route } from './route.ts'

export interface SandboxPod {
  namespace: string
  /** Of the Pod; of most Sandboxes it is the Sandbox's. */
  name: string
  /** Of the Pod. */
  uid: string
  sandbox: string
  sandboxUid: string
  /** Undefined without a network of its own: that of its machine is not the Sandbox's. */
  ip: string | undefined
  /** The one that commands are executed in. */
  container: string
  /** Ports that its containers say they listen on. */
  declaredPorts: ReadonlySet<number>
  /** ms since the epoch. */
  startedAt: number
}

export interface SandboxPods extends AsyncDisposable {
  synced(signal?: AbortSignal): Promise<void>
  /** Whether what is known is fresh, for a readiness check. */
  readonly connected: boolean
  readonly size: number
  /**
   * The Pod that the route is for, which is Ready. A Sandbox that was made just now may not be known yet, so that one
   * that is missing is waited for; undefined where it does not come.
   */
  find(route: Route, options: { waitMs: number; signal: AbortSignal }): Promise<SandboxPod | undefined>
  /** Calls back with the Sandbox of each Pod that is new. */
  onCome(listener: (namespace: string, sandbox: string) => void): Disposable
}

const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container'
const BY_SANDBOX = 'sandbox'

export interface FollowOptions {
  /** Only of this one. */
  namespace?: string
  /** Whether a Pod's address may be one of loopback: where the router is a part of that Pod. */
  allowLoopback?: boolean
}

export function followSandboxPods(client: Client, { namespace, allowLoopback = false }: FollowOptions): SandboxPods {
  const informer = createInformer(client, resources.pods, {
    ...(namespace !== undefined && { namespace }),
    labelSelector: LABELS.sandboxNameHash,
    transform: withoutTheRest,
    indexers: { [BY_SANDBOX]: sandboxKeys },
  })
  const waiting = new Map<string, Set<() => void>>()
  const comeListeners = new Set<(namespace: string, sandbox: string) => void>()
  function changed(pod: PodObject): void {
    for (const key of sandboxKeys(pod)) for (const wake of waiting.get(key) ?? []) wake()
  }
  const handling = informer.handle({
    added(pod) {
      const sandbox = sandboxOf(pod)
      if (sandbox !== undefined) for (const come of comeListeners) come(pod.metadata.namespace ?? '', sandbox)
      changed(pod)
    },
    updated: (_old, pod) => changed(pod),
  })

  function present(route: Route): SandboxPod | undefined {
    const chosen = theOne(informer.byIndex(BY_SANDBOX, `${route.namespace}/${route.id}`), route)
    return chosen && mayBeReached(chosen, route) ? sandboxPod(chosen, allowLoopback) : undefined
  }

  return {
    synced: (signal) => informer.synced(signal),
    get connected() {
      return informer.health.synced && informer.health.connected
    },
    get size() {
      return informer.size
    },
    async find(route, { waitMs, signal }) {
      const known = present(route)
      if (known || waitMs === 0) return known
      const key = `${route.namespace}/${route.id}`
      const { promise, resolve } = Promise.withResolvers<SandboxPod | undefined>()
      const look = (): void => {
        const found = present(route)
        if (found) resolve(found)
      }
      const giveUp = (): void => resolve(undefined)
      const timer = setTimeout(giveUp, waitMs)
      signal.addEventListener('abort', giveUp, { once: true })
      const wakers = waiting.get(key) ?? new Set()
      waiting.set(key, wakers.add(look))
      try {
        return await promise
      } finally {
        clearTimeout(timer)
        signal.removeEventListener('abort', giveUp)
        wakers.delete(look)
        if (wakers.size === 0) waiting.delete(key)
      }
    },
    onCome(listener) {
      comeListeners.add(listener)
      return { [Symbol.dispose]: () => void comeListeners.delete(listener) }
    },
    async [Symbol.asyncDispose]() {
      handling[Symbol.dispose]()
      await informer[Symbol.asyncDispose]()
    },
  }
}

/**
 * A Sandbox has one Pod, of its own name but where it was adopted from elsewhere. Where several say that they are it, the
 * name decides, which no two can have; where none has it, nobody can say which it is.
 */
function theOne(pods: readonly PodObject[], { id, uid }: Route): PodObject | undefined {
  const meant = uid === undefined ? pods : pods.filter((pod) => controllerOf(pod)?.uid === uid)
  const named = meant.find(({ metadata }) => metadata.name === id)
  if (named) return named
  const staying = meant.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  return staying.length === 1 ? staying[0] : undefined
}

/** A Sandbox of a pool that nobody has claimed is reached only by who knows its UID: its next owner must find it clean. */
function mayBeReached(pod: PodObject, { uid }: Route): boolean {
  if (pod.metadata.deletionTimestamp !== undefined || !isReady(pod)) return false
  if (uid !== undefined) return controllerOf(pod)?.uid === uid
  return pod.metadata.labels?.[LABELS.warmPool] === undefined
}

function isReady({ status }: PodObject): boolean {
  return status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

/** The name of the Sandbox that controls the Pod and whose hash it carries. */
export function sandboxOf(pod: PodObject): string | undefined {
  const owner = controllerOf(pod)
  if (owner?.kind !== 'Sandbox' || referenceGroup(owner) !== AGENTS_GROUP) return undefined
  return pod.metadata.labels?.[LABELS.sandboxNameHash] === nameHash(owner.name) ? owner.name : undefined
}

function sandboxKeys(pod: PodObject): string[] {
  const sandbox = sandboxOf(pod)
  return sandbox === undefined ? [] : [`${pod.metadata.namespace}/${sandbox}`]
}

function sandboxPod({ metadata, spec, status }: PodObject, allowLoopback: boolean): SandboxPod {
  const owner = controllerOf({ metadata })
  const containers = spec?.containers ?? []
  const named = metadata.annotations?.[DEFAULT_CONTAINER]
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    sandbox: owner?.name ?? '',
    sandboxUid: owner?.uid ?? '',
    // What else is said to be one is none of a Pod's, and nothing that the router should connect to.
    ip: status?.podIP && !spec?.hostNetwork && isRoutable(status.podIP, allowLoopback) ? status.podIP : undefined,
    container: (containers.find(({ name }) => name === named) ?? containers[0])?.name ?? '',
    declaredPorts: new Set(containers.flatMap(({ ports = [] }) => ports.map(({ containerPort }) => containerPort))),
    startedAt: Date.parse(String(status?.startTime ?? metadata.creationTimestamp)),
  }
}

/** A cluster has tens of thousands of these Pods, and a few fields of each are read. */
function withoutTheRest({ apiVersion, kind, metadata, spec, status }: PodObject): PodObject {
  const { namespace, name, uid, resourceVersion, ownerReferences, deletionTimestamp, creationTimestamp } = metadata
  const { labels = {}, annotations = {} } = metadata
  const warmPool = labels[LABELS.warmPool]
  const container = annotations[DEFAULT_CONTAINER]
  return {
    apiVersion,
    kind,
    metadata: {
      namespace,
      name,
      uid,
      resourceVersion,
      creationTimestamp,
      ...(ownerReferences && { ownerReferences }),
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
      labels: {
        [LABELS.sandboxNameHash]: labels[LABELS.sandboxNameHash] ?? '',
        ...(warmPool !== undefined && { [LABELS.warmPool]: warmPool }),
      },
      ...(container !== undefined && { annotations: { [DEFAULT_CONTAINER]: container } }),
    },
    spec: {
      ...(spec?.hostNetwork && { hostNetwork: true }),
      containers: (spec?.containers ?? []).map(({ name, ports }) => ({ name, ...(ports && { ports }) })),
    },
    status: {
      podIP: status?.podIP,
      startTime: status?.startTime,
      conditions: status?.conditions?.filter(({ type }) => type === 'Ready'),
    },
  } as PodObject
}
