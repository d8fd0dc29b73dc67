/** Empties namespaces that are being deleted, and then lets them go. */
import { kubernetesTime } from '@caisson/api'
import {
  type Client,
  isConflict,
  isNotFound,
  type Resource,
  resources,
  type Typed,
  type WorkResult,
} from '@caisson/client'
import type { Namespace } from 'kubernetes-types/core/v1.d.ts'
import type { ObjectWatcher } from './garbage/object-watcher.ts'
import type { OwnershipGraph } from './garbage/ownership-graph.ts'

const FINALIZER = 'kubernetes'
const PODS = 'pods'

export interface NamespaceContext {
  client: Client
  watcher: ObjectWatcher
  graph: OwnershipGraph
  now(): number
  signal: AbortSignal
}

/** One pass over one namespace; to be called again when something in it has gone, or when the result says. */
export async function reconcileNamespace(
  namespace: Typed<Namespace> | undefined,
  context: NamespaceContext,
): Promise<WorkResult> {
  if (!namespace?.metadata.deletionTimestamp || !namespace.spec?.finalizers?.includes(FINALIZER)) return {}
  const { client, watcher, graph, signal } = context
  const name = namespace.metadata.name ?? ''
  const empty = async (isMeant: (kind: string) => boolean): Promise<void> => {
    const left = graph.inNamespace(name).filter((node) => !node.deleting && isMeant(node.resource))
    for (const kind of new Set(left.map((node) => node.resource))) {
      const resource = watcher.kinds.get(kind)
      if (resource) await deleteAll(resource, name, context)
    }
  }
  await empty((kind) => kind === PODS)
  // What goes on running keeps what it lives under, such as its NetworkPolicies.
  if (graph.inNamespace(name).some((node) => node.resource === PODS)) {
    await sayWhatRemains(namespace, context)
    return {}
  }
  await empty(() => true)
  // Events are nobody's dependents and hold nothing up.
  await client.deleteCollection(resources.events, { namespace: name, signal })
  if (graph.inNamespace(name).length > 0) {
    await sayWhatRemains(namespace, context)
    return {}
  }
  const unseen = await unseenKinds(name, context)
  if (unseen.length > 0) {
    for (const resource of unseen) await deleteAll(resource, name, context)
    // Nothing tells that what was never seen has gone.
    return { retry: true }
  }
  const finalizers = namespace.spec.finalizers.filter((finalizer) => finalizer !== FINALIZER)
  try {
    await client.request({
      method: 'PUT',
      path: `/api/v1/namespaces/${encodeURIComponent(name)}/finalize`,
      body: { ...namespace, spec: { ...namespace.spec, finalizers } },
      signal,
    })
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
  }
  return {}
}

function deleteAll(resource: Resource, namespace: string, { client, signal }: NamespaceContext): Promise<void> {
  return client.deleteCollection(resource, { namespace, propagationPolicy: 'Background', signal })
}

/**
 * The kinds of which the API server has something in a namespace in which no watch has shown anything: watches may be
 * behind, and a kind may be new. Whatever were left would be in the next namespace of that name, which may be another's.
 */
async function unseenKinds(namespace: string, { client, watcher, signal }: NamespaceContext): Promise<Resource[]> {
  await watcher.rediscover()
  const kinds = [...watcher.kinds.values()].filter(({ namespaced }) => namespaced)
  const found = await Promise.all(
    kinds.map(async (resource) => (await client.list(resource, { namespace, limit: 1, signal })).items.length > 0),
  )
  return kinds.filter((_, index) => found[index])
}

/** What fails here is tried again, and told to nobody else. */
const NOTHING_FAILED = [
  {
    type: 'NamespaceDeletionDiscoveryFailure',
    status: 'False',
    reason: 'ResourcesDiscovered',
    message: 'All resources successfully discovered',
  },
  {
    type: 'NamespaceDeletionGroupVersionParsingFailure',
    status: 'False',
    reason: 'ParsedGroupVersions',
    message: 'All legacy kube types successfully parsed',
  },
  {
    type: 'NamespaceDeletionContentFailure',
    status: 'False',
    reason: 'ContentDeleted',
    message: 'All content successfully deleted, may be waiting on finalization',
  },
]

/** The conditions that say what a namespace waits for; written only when they change. */
async function sayWhatRemains(
  namespace: Typed<Namespace>,
  { client, graph, now, signal }: NamespaceContext,
): Promise<void> {
  const name = namespace.metadata.name ?? ''
  const left = graph.inNamespace(name)
  const counts = new Map<string, number>()
  const finalizers = new Map<string, number>()
  for (const node of left) {
    counts.set(node.resource, (counts.get(node.resource) ?? 0) + 1)
    for (const finalizer of node.finalizers) finalizers.set(finalizer, (finalizers.get(finalizer) ?? 0) + 1)
  }
  const say = (map: ReadonlyMap<string, number>, what: string): string =>
    [...map]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, count]) => `${key} ${what} ${count} resource instances`)
      .join(', ')
  const wanted = [
    ...NOTHING_FAILED,
    {
      type: 'NamespaceContentRemaining',
      status: 'True',
      reason: 'SomeResourcesRemain',
      message: `Some resources are remaining: ${say(counts, 'has')}`,
    },
    finalizers.size > 0
      ? {
          type: 'NamespaceFinalizersRemaining',
          status: 'True',
          reason: 'SomeFinalizersRemain',
          message: `Some content in the namespace has finalizers remaining: ${say(finalizers, 'in')}`,
        }
      : {
          type: 'NamespaceFinalizersRemaining',
          status: 'False',
          reason: 'ContentHasNoFinalizers',
          message: 'All content-preserving finalizers finished',
        },
  ]
  const before = namespace.status?.conditions ?? []
  const same = wanted.every((one) => before.some((other) => other.type === one.type && other.message === one.message))
  if (same) return
  const lastTransitionTime = kubernetesTime(now())
  const conditions = [
    ...before.filter((condition) => !wanted.some((one) => one.type === condition.type)),
    ...wanted.map((one) => ({ ...one, lastTransitionTime })),
  ]
  try {
    await client.patchStatus(resources.namespaces, name, { status: { conditions } }, { signal })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}
