/**
 * Which objects each node has to do with: those that the Pods bound to it refer to, and what those refer to. Kept in step
 * with the store, so that a decision is a look into a map.
 */
import type { KubeObject } from '@caisson/api'
import { allContainers, list, type PodSpec, specOf } from '../admission/pod-shape.ts'
import { isMirror } from '../admission/service-account.ts'
import type { StoreEvent } from '../storage/store.ts'
import type { AuthorizationSource } from './binding-index.ts'

export type RelatedResource =
  | 'configmaps'
  | 'persistentvolumeclaims'
  | 'persistentvolumes'
  | 'pods'
  | 'secrets'
  | 'serviceaccounts'

export interface NodeGraph extends Disposable {
  /** Whether a way leads from the object over Pods to the node. */
  relates(node: string, object: { resource: RelatedResource; namespace: string; name: string }): boolean
}

/** What a Pod gives its node a right to; `node` is where it is bound. */
interface PodEdges {
  node: string
  keys: readonly string[]
}

const PODS = 'pods'
const VOLUMES = 'persistentvolumes'

export function createNodeGraph(source: AuthorizationSource): NodeGraph {
  const pods = new Map<string, PodEdges>()
  /** How many Pods of a node refer to an object. */
  const nodes = new Map<string, Map<string, number>>()
  /** Names of the volumes that need a secret. */
  const volumesOfSecret = new Map<string, Set<string>>()

  function addPod(pod: KubeObject): void {
    const { nodeName: node } = specOf(pod)
    if (!node) return
    const key = keyOf(PODS, pod.metadata)
    const edges = { node, keys: [key, ...referencesOf(pod)] }
    pods.set(key, edges)
    const counts = nodes.get(node) ?? new Map<string, number>()
    nodes.set(node, counts)
    for (const each of edges.keys) counts.set(each, (counts.get(each) ?? 0) + 1)
  }

  function removePod(pod: KubeObject): void {
    const key = keyOf(PODS, pod.metadata)
    const edges = pods.get(key)
    const counts = edges && nodes.get(edges.node)
    if (!counts) return
    pods.delete(key)
    for (const each of edges.keys) {
      const left = (counts.get(each) ?? 0) - 1
      if (left > 0) counts.set(each, left)
      else counts.delete(each)
    }
    if (counts.size === 0) nodes.delete(edges.node)
  }

  function addVolume(volume: KubeObject): void {
    for (const secret of secretsOfVolume(volume)) {
      const names = volumesOfSecret.get(secret) ?? new Set()
      volumesOfSecret.set(secret, names.add(volume.metadata.name ?? ''))
    }
  }

  function removeVolume(volume: KubeObject): void {
    for (const secret of secretsOfVolume(volume)) {
      const names = volumesOfSecret.get(secret)
      names?.delete(volume.metadata.name ?? '')
      if (names?.size === 0) volumesOfSecret.delete(secret)
    }
  }

  const since = source.revision
  function follow(resource: string, handle: (event: Pick<StoreEvent, 'object' | 'previous' | 'type'>) => void) {
    for (const object of source.list(resource)) handle({ type: 'ADDED', object, previous: undefined })
    const subscription = source.subscribe(resource, since, handle)
    // The revision was read in this very turn of the event loop: it cannot have been compacted.
    if (!subscription) throw new Error(`cannot follow ${resource} from revision ${since}: it has been compacted`)
    return subscription
  }
  const subscriptions = [
    follow(PODS, ({ type, object, previous }) => {
      // Most events are about the status.
      if (type === 'MODIFIED' && previous && refersToTheSame(previous, object)) return
      removePod(previous ?? object)
      if (type !== 'DELETED') addPod(object)
    }),
    follow(VOLUMES, ({ type, object, previous }) => {
      if (previous) removeVolume(previous)
      if (type !== 'DELETED') addVolume(object)
    }),
  ]

  function reachesVolume(related: ReadonlyMap<string, number>, name: string): boolean {
    const claim = claimOf(source.get(VOLUMES, undefined, name))
    return claim !== undefined && related.has(claim)
  }

  return {
    relates(node, { resource, namespace, name }) {
      const related = nodes.get(node)
      if (!related) return false
      if (resource === VOLUMES) return reachesVolume(related, name)
      const key = keyOf(resource, { namespace, name })
      if (related.has(key)) return true
      if (resource !== 'secrets') return false
      return [...(volumesOfSecret.get(key) ?? [])].some((volume) => reachesVolume(related, volume))
    },
    [Symbol.dispose]() {
      for (const subscription of subscriptions) subscription[Symbol.dispose]()
    },
  }
}

/** What a Pod refers to never changes once it is bound, but for the containers that are put into it. */
function refersToTheSame(before: KubeObject, after: KubeObject): boolean {
  if (before.metadata.uid !== after.metadata.uid) return false
  const [old, now] = [specOf(before), specOf(after)]
  return (
    old === now ||
    (old.nodeName === now.nodeName && list(old.ephemeralContainers).length === list(now.ephemeralContainers).length)
  )
}

function referencesOf(pod: KubeObject): Set<string> {
  const found = new Set<string>()
  // A node may make such a Pod itself: it must not be what gives it a right.
  if (isMirror(pod)) return found
  const { namespace = '', name: podName = '' } = pod.metadata
  const add = (resource: RelatedResource, name: string | null | undefined): void => {
    if (name) found.add(keyOf(resource, { namespace, name }))
  }
  const spec = specOf(pod)
  add('serviceaccounts', spec.serviceAccountName)
  for (const { name } of list(spec.imagePullSecrets)) add('secrets', name)
  for (const { env, envFrom } of allContainers(spec)) {
    for (const { valueFrom } of list(env)) {
      add('secrets', valueFrom?.secretKeyRef?.name)
      add('configmaps', valueFrom?.configMapKeyRef?.name)
    }
    for (const { secretRef, configMapRef } of list(envFrom)) {
      add('secrets', secretRef?.name)
      add('configmaps', configMapRef?.name)
    }
  }
  for (const volume of list(spec.volumes) as readonly VolumeSources[]) {
    add('configmaps', volume.configMap?.name)
    add('secrets', volume.secret?.secretName)
    for (const source of list(volume.projected?.sources)) {
      add('configmaps', source.configMap?.name)
      add('secrets', source.secret?.name)
    }
    for (const secret of secretsOfSource(volume)) add('secrets', secret.name)
    add('persistentvolumeclaims', volume.persistentVolumeClaim?.claimName)
    if (volume.ephemeral) add('persistentvolumeclaims', `${podName}-${volume.name}`)
  }
  return found
}

type VolumeSources = NonNullable<NonNullable<PodSpec['volumes']>[number]>

interface SecretReference {
  name?: string
  namespace?: string
}

/** What drivers take from secrets, of which the node's part is read by the node. */
interface SecretSources {
  azureFile?: { secretName?: string; secretNamespace?: string } | null
  csi?: {
    nodePublishSecretRef?: SecretReference | null
    nodeStageSecretRef?: SecretReference | null
    nodeExpandSecretRef?: SecretReference | null
  } | null
}

const WITH_SECRET_REF = ['cephfs', 'cinder', 'flexVolume', 'iscsi', 'rbd', 'scaleIO', 'storageos'] as const

function secretsOfSource(source: object): SecretReference[] {
  const { azureFile, csi } = source as SecretSources
  const others = source as Partial<Record<string, { secretRef?: SecretReference | null } | null>>
  const found = [
    azureFile?.secretName && {
      name: azureFile.secretName,
      ...(azureFile.secretNamespace && { namespace: azureFile.secretNamespace }),
    },
    csi?.nodePublishSecretRef,
    csi?.nodeStageSecretRef,
    csi?.nodeExpandSecretRef,
    ...WITH_SECRET_REF.map((kind) => others[kind]?.secretRef),
  ]
  return found.flatMap((reference) => (reference ? [reference] : []))
}

function secretsOfVolume(volume: KubeObject): string[] {
  const { claimRef } = (volume.spec ?? {}) as { claimRef?: SecretReference }
  if (!claimRef) return []
  return secretsOfSource(volume.spec as object).flatMap(({ name, namespace = claimRef.namespace }) =>
    name && namespace ? [keyOf('secrets', { namespace, name })] : [],
  )
}

function claimOf(volume: KubeObject | undefined): string | undefined {
  const { claimRef } = (volume?.spec ?? {}) as { claimRef?: SecretReference }
  return claimRef && keyOf('persistentvolumeclaims', claimRef)
}

function keyOf(
  resource: RelatedResource,
  { namespace = '', name = '' }: { namespace?: string; name?: string },
): string {
  return `${resource} ${namespace}/${name}`
}
