/**
 * Every object of every kind that can be listed and deleted, built-in and custom, followed as it comes and goes. Kinds
 * come from discovery, again whenever a CustomResourceDefinition changes.
 */
import type { KubeObject } from '@caisson/api'
import {
  type Client,
  createInformer,
  createWorkqueue,
  defineResource,
  type Informer,
  type Informers,
  joinKey,
  type Resource,
  resources,
} from '@caisson/client'
import type { ResourceName, ScopeOf } from './ownership-graph.ts'

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

interface ApiResource {
  name: string
  kind: string
  namespaced: boolean
  verbs: string[]
}

/** Kubernetes' own garbage collector leaves events to their time to live. */
const IGNORED = new Set(['events', 'events.events.k8s.io'])

export async function watchObjects(options: ObjectWatcherOptions): Promise<ObjectWatcher> {
  const { client, informers, signal } = options
  const kinds = new Map<ResourceName, Resource>()
  const own = new Map<ResourceName, Informer<KubeObject>>()
  const followed = new Map<ResourceName, Informer<KubeObject>>()
  const handles: Disposable[] = []
  const byKind = new Map<string, ResourceName>()

  function follow(name: ResourceName, resource: Resource<KubeObject>, custom: boolean): void {
    kinds.set(name, resource)
    byKind.set(`${resource.group}/${resource.kind}`, name)
    const informer = custom ? createInformer<KubeObject>(client, resource) : informers.of<KubeObject>(resource)
    if (custom) own.set(name, informer)
    followed.set(name, informer)
    const changed = (object: KubeObject): void => options.changed(name, object)
    handles.push(
      informer.handle({
        added: changed,
        updated: (_old, object) => changed(object),
        deleted: (object) => options.gone(name, object),
      }),
    )
  }

  async function unfollow(name: ResourceName): Promise<void> {
    const resource = kinds.get(name)
    const informer = own.get(name)
    if (!resource || !informer) return
    kinds.delete(name)
    own.delete(name)
    followed.delete(name)
    byKind.delete(`${resource.group}/${resource.kind}`)
    for (const object of informer.list()) options.gone(name, object)
    await informer[Symbol.asyncDispose]()
  }

  async function discover(): Promise<void> {
    const definitions = informers.of(resources.customResourceDefinitions)
    const custom = new Set(definitions.list().map((one) => one.metadata.name))
    const found = new Set<ResourceName>()
    for (const groupVersion of await groupVersions(client, signal)) {
      const path = groupVersion.includes('/') ? `/apis/${groupVersion}` : `/api/${groupVersion}`
      const list = await client.request<{ resources?: ApiResource[] }>({ method: 'GET', path, signal })
      const [group, version] = groupVersion.includes('/') ? groupVersion.split('/') : ['', groupVersion]
      for (const { name: plural, kind, namespaced, verbs } of list.resources ?? []) {
        if (plural.includes('/') || !['list', 'watch', 'delete'].every((verb) => verbs.includes(verb))) continue
        const name = group ? `${plural}.${group}` : plural
        if (IGNORED.has(name)) continue
        found.add(name)
        if (!kinds.has(name)) {
          follow(
            name,
            defineResource<KubeObject>({ group: group ?? '', version: version ?? '', plural, kind, namespaced }),
            custom.has(name),
          )
        }
      }
    }
    for (const name of own.keys()) if (!found.has(name)) await unfollow(name)
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

  await informers.of(resources.customResourceDefinitions).synced(signal)
  await rediscover()
  handles.push(
    informers.of(resources.customResourceDefinitions).handle({
      added: changed,
      updated: (old, definition) => {
        if (
          old.metadata.generation !== definition.metadata.generation ||
          old.status?.conditions?.length !== definition.status?.conditions?.length
        )
          changed()
      },
      deleted: changed,
    }),
  )

  const nameOf = (apiVersion: string, kind: string): ResourceName | undefined =>
    byKind.get(`${groupOf(apiVersion)}/${kind}`)

  return {
    kinds,
    rediscover,
    nameOf,
    scopeOf({ apiVersion, kind }) {
      const resource = kinds.get(nameOf(apiVersion, kind) ?? '')
      return resource && (resource.namespaced ? 'Namespaced' : 'Cluster')
    },
    get: (resource, namespace, name) => followed.get(resource)?.get(joinKey(namespace, name)),
    async synced(waiting) {
      await Promise.all([...followed.values()].map((informer) => informer.synced(waiting)))
    },
    async [Symbol.asyncDispose]() {
      for (const handle of handles) handle[Symbol.dispose]()
      await queue[Symbol.asyncDispose]()
      await last.catch(() => {})
      await Promise.all([...own.values()].map((informer) => informer[Symbol.asyncDispose]()))
    },
  }
}

function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? '' : apiVersion.slice(0, slash)
}

/** Every version of every group, the one that its server prefers first. */
async function groupVersions(client: Client, signal: AbortSignal): Promise<string[]> {
  interface Version {
    groupVersion: string
  }
  const list = await client.request<{ groups?: { preferredVersion?: Version; versions?: Version[] }[] }>({
    method: 'GET',
    path: '/apis',
    signal,
  })
  const all = (list.groups ?? []).flatMap(({ preferredVersion, versions = [] }) =>
    preferredVersion ? [preferredVersion, ...versions] : versions,
  )
  // Not every version of a group has all of its kinds.
  return ['v1', ...new Set(all.map(({ groupVersion }) => groupVersion))]
}
