/**
 * Every object of every kind that can be listed and deleted, built-in and custom, followed as it comes and goes. Kinds
 * come from discovery, again whenever a CustomResourceDefinition changes.
 */
import type { KubeObject } from '@caisson/api'
import {
  type Client,
  createInformer,
  createWorkqueue,
  type Informer,
  type Informers,
  joinKey,
  keyOf,
  type Resource,
  resources,
} from '@caisson/client'
import type { ResourceName, ScopeOf } from './ownership-graph.ts'
import { resourceName, servedKinds } from './served-kinds.ts'

export interface ObjectWatcher extends AsyncDisposable {
  /** The kinds that are followed now, by group and plural. */
  readonly kinds: ReadonlyMap<ResourceName, Resource>
  /** Resolves when each kind that is served by now is followed, if it was not; rejects where that cannot be found out. */
  rediscover(): Promise<void>
  /** The group and plural of a kind that is followed. */
  nameOf(apiVersion: string, kind: string): ResourceName | undefined
  scopeOf: ScopeOf
  get(resource: ResourceName, namespace: string, name: string): KubeObject | undefined
  /** Resolves when every kind that discovery named at the start has been listed once. */
  synced(signal?: AbortSignal): Promise<void>
}

export interface ObjectWatcherOptions {
  client: Client
  informers: Informers
  /** Called synchronously for each object that is there, came or changed. */
  changed(resource: ResourceName, object: KubeObject): void
  gone(resource: ResourceName, object: KubeObject): void
  signal: AbortSignal
}

/** Kubernetes' own garbage collector leaves events to their time to live. */
const IGNORED = new Set(['events', 'events.events.k8s.io'])

/** Of kinds that every API server has: others follow them too, and they never go. */
const BUILT_IN = new Set(Object.values(resources).map(({ group, plural }) => resourceName(group, plural)))

/** One kind, as it is followed. */
interface Followed {
  resource: Resource<KubeObject>
  informer: Informer<KubeObject>
  handle: Disposable
}

export async function watchObjects(options: ObjectWatcherOptions): Promise<ObjectWatcher> {
  const { client, informers, signal } = options
  const kinds = new Map<ResourceName, Resource>()
  const followed = new Map<ResourceName, Followed>()
  /** Of kinds that are served otherwise now, until it is known what there is. */
  const outdated = new Set<Followed>()
  const byKind = new Map<string, ResourceName>()

  function follow(name: ResourceName, resource: Resource<KubeObject>): Followed {
    const informer = BUILT_IN.has(name)
      ? informers.of<KubeObject>(resource)
      : createInformer<KubeObject>(client, resource)
    const changed = (object: KubeObject): void => options.changed(name, object)
    const handle = informer.handle({
      added: changed,
      updated: (_old, object) => changed(object),
      deleted: (object) => options.gone(name, object),
    })
    const now = { resource, informer, handle }
    kinds.set(name, resource)
    byKind.set(kindKey(resource), name)
    followed.set(name, now)
    return now
  }

  async function unfollow(name: ResourceName, before: Followed): Promise<void> {
    followed.delete(name)
    kinds.delete(name)
    byKind.delete(kindKey(before.resource))
    await leave(name, before)
  }

  /** Only when it is known what there is: everything would count as gone. */
  function followAnew(name: ResourceName, before: Followed, resource: Resource<KubeObject>): void {
    byKind.delete(kindKey(before.resource))
    outdated.add(before)
    const { informer } = follow(name, resource)
    void informer
      .synced(signal)
      .catch(() => {})
      .then(() => leave(name, before))
  }

  async function leave(name: ResourceName, before: Followed): Promise<void> {
    const { informer, handle } = before
    outdated.delete(before)
    const now = followed.get(name)?.informer
    handle[Symbol.dispose]()
    for (const object of informer.list())
      if (now?.get(keyOf(object))?.metadata.uid !== object.metadata.uid) options.gone(name, object)
    await informer[Symbol.asyncDispose]()
  }

  async function discover(): Promise<void> {
    const { served, failures } = await servedKinds(client, signal)
    for (const [name, offered] of served) {
      if (IGNORED.has(name)) continue
      const before = followed.get(name)
      if (!before) follow(name, offered[0])
      else if (!offered.some((resource) => isSame(resource, before.resource))) followAnew(name, before, offered[0])
    }
    // What has not answered may be there.
    for (const [name, before] of followed)
      if (!served.has(name) && !BUILT_IN.has(name) && !failures.has(before.resource.group)) await unfollow(name, before)
    for (const failure of failures.values()) throw failure
  }

  /** One after another: what an older answer lacks is not gone. */
  let last: Promise<void> = Promise.resolve()
  function rediscover(): Promise<void> {
    last = last.catch(() => {}).then(discover)
    return last
  }
  const DISCOVERY = 'discovery'
  const queue = createWorkqueue({
    process: rediscover,
    onError: (error) => {
      if (!signal.aborted) process.emitWarning(error instanceof Error ? error : String(error), 'DiscoveryWarning')
    },
  })
  const changed = (): void => queue.add(DISCOVERY)

  const definitions = informers.of(resources.customResourceDefinitions)
  await definitions.synced(signal)
  // A server that was joined in may be one of this cluster's own Pods, which does not run yet.
  await rediscover().catch(changed)
  const handle = definitions.handle({
    added: changed,
    updated(old, definition) {
      if (
        old.metadata.generation !== definition.metadata.generation ||
        old.status?.conditions?.length !== definition.status?.conditions?.length
      )
        changed()
    },
    deleted: changed,
  })

  const nameOf = (apiVersion: string, kind: string): ResourceName | undefined =>
    byKind.get(kindKey({ apiVersion, kind }))

  return {
    kinds,
    rediscover,
    nameOf,
    scopeOf({ apiVersion, kind }) {
      const resource = kinds.get(nameOf(apiVersion, kind) ?? '')
      return resource && (resource.namespaced ? 'Namespaced' : 'Cluster')
    },
    get: (resource, namespace, name) => followed.get(resource)?.informer.get(joinKey(namespace, name)),
    async synced(waiting) {
      await Promise.all([...followed.values()].map(({ informer }) => informer.synced(waiting)))
    },
    async [Symbol.asyncDispose]() {
      handle[Symbol.dispose]()
      await queue[Symbol.asyncDispose]()
      await last.catch(() => {})
      const own = [...followed].filter(([name]) => !BUILT_IN.has(name)).map(([, each]) => each)
      for (const each of [...outdated, ...followed.values()]) each.handle[Symbol.dispose]()
      await Promise.all([...outdated, ...own].map(({ informer }) => informer[Symbol.asyncDispose]()))
    },
  }
}

/** A kind, whatever its version. */
function kindKey({ apiVersion, kind }: { apiVersion: string; kind: string }): string {
  const slash = apiVersion.lastIndexOf('/')
  return `${slash < 0 ? '' : apiVersion.slice(0, slash)}/${kind}`
}

function isSame(one: Resource, other: Resource): boolean {
  return one.apiVersion === other.apiVersion && one.kind === other.kind && one.namespaced === other.namespaced
}
