/** What a Pod's containers are made from besides the Pod itself: read from caches, and from the server where those lag. */
import {
  type AnyObject,
  type Client,
  type Informer,
  type Informers,
  isNotFound,
  joinKey,
  type PodObject,
  type Resource,
  resources,
} from '@caisson/client'
import { ephemeralContainers } from './pods/observed-pod.ts'
import { createReferencedObjects, type ReferencedObjects } from './referenced-objects.ts'
import { type Reference, watchedReferencesOf } from './references.ts'

type ObjectOf<R> = R extends Resource<infer T> ? T : never
export type ConfigMapObject = ObjectOf<typeof resources.configMaps>
export type SecretObject = ObjectOf<typeof resources.secrets>
export type ServiceObject = ObjectOf<typeof resources.services>
export type VolumeClaimObject = ObjectOf<typeof resources.persistentVolumeClaims>
export type VolumeObject = ObjectOf<typeof resources.persistentVolumes>
export type RuntimeClassObject = ObjectOf<typeof resources.runtimeClasses>

export interface TokenRequest {
  namespace: string
  serviceAccount: string
  audience: string | undefined
  expirationSeconds: number
  pod: { name: string; uid: string }
}

export interface IssuedToken {
  token: string
  /** ms since the epoch. */
  expiresAt: number
}

/** Undefined where there is no such object. */
export interface PodSources {
  configMap(namespace: string, name: string): Promise<ConfigMapObject | undefined>
  secret(namespace: string, name: string): Promise<SecretObject | undefined>
  volumeClaim(namespace: string, name: string): Promise<VolumeClaimObject | undefined>
  volume(name: string): Promise<VolumeObject | undefined>
  runtimeClass(name: string): Promise<RuntimeClassObject | undefined>
  services(namespace: string): readonly ServiceObject[]
  requestToken(request: TokenRequest): Promise<IssuedToken>
}

export type OwnedPodSources = PodSources & AsyncDisposable

export interface PodSourcesOptions {
  client: Client
  informers: Informers
  /** Of this node. What they refer to is followed. */
  pods: Informer<PodObject>
  /** What a Pod refers to has changed since it was read. */
  onChanged(reference: Reference): void
}

export function createPodSources({ client, informers, pods, onChanged }: PodSourcesOptions): OwnedPodSources {
  const configMaps = createReferencedObjects({
    client,
    resource: resources.configMaps,
    onChanged: (object) => onChanged({ kind: 'configmap', ...object }),
  })
  const secrets = createReferencedObjects({
    client,
    resource: resources.secrets,
    onChanged: (object) => onChanged({ kind: 'secret', ...object }),
  })
  const followed = followReferences(pods, ({ kind }) => (kind === 'secret' ? secrets : configMaps))
  const services = informers.of(resources.services, { indexers: { namespace: byNamespace } })

  async function read<T extends AnyObject>(
    resource: Resource<T>,
    namespace: string | undefined,
    name: string,
  ): Promise<T | undefined> {
    try {
      return await client.get(resource, name, { namespace })
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw error
    }
  }

  function cached<T extends AnyObject>(resource: Resource<T>) {
    const informer = informers.of(resource)
    // A Pod may be newer than what this cache has heard of.
    return async (namespace: string | undefined, name: string): Promise<T | undefined> =>
      informer.get(joinKey(namespace, name)) ?? (await read(resource, namespace, name))
  }

  const runtimeClass = cached(resources.runtimeClasses)
  return {
    configMap: (namespace, name) => configMaps.read({ namespace, name }),
    secret: (namespace, name) => secrets.read({ namespace, name }),
    // Nodes may read single claims and volumes, and not list them.
    volumeClaim: (namespace, name) => read(resources.persistentVolumeClaims, namespace, name),
    volume: (name) => read(resources.persistentVolumes, undefined, name),
    runtimeClass: (name) => runtimeClass(undefined, name),
    services: (namespace) => services.byIndex('namespace', namespace),
    async requestToken({ namespace, serviceAccount, audience, expirationSeconds, pod }) {
      const answer = await client.createSubresource<{ status: { token: string; expirationTimestamp: string } }>(
        resources.serviceAccounts,
        serviceAccount,
        'token',
        {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: {
            audiences: audience === undefined ? [] : [audience],
            expirationSeconds,
            boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid },
          },
        },
        { namespace },
      )
      return { token: answer.status.token, expiresAt: Date.parse(answer.status.expirationTimestamp) }
    },
    async [Symbol.asyncDispose]() {
      followed[Symbol.dispose]()
      await Promise.all([configMaps[Symbol.asyncDispose](), secrets[Symbol.asyncDispose]()])
    },
  }
}

/** Retains what Pods refer to for as long as they are there. */
function followReferences(
  pods: Informer<PodObject>,
  objectsOf: (reference: Reference) => Pick<ReferencedObjects<AnyObject>, 'retain' | 'release'>,
): Disposable {
  return pods.handle({
    added(pod) {
      for (const reference of watchedReferencesOf(pod)) objectsOf(reference).retain(reference)
    },
    updated(old, pod) {
      const added = ephemeralContainers(pod).length !== ephemeralContainers(old).length
      // Most events are about the status.
      if (old.metadata.uid === pod.metadata.uid && !added) return
      for (const reference of watchedReferencesOf(pod)) objectsOf(reference).retain(reference)
      for (const reference of watchedReferencesOf(old)) objectsOf(reference).release(reference)
    },
    deleted(pod) {
      for (const reference of watchedReferencesOf(pod)) objectsOf(reference).release(reference)
    },
  })
}

function byNamespace({ metadata }: AnyObject): readonly string[] {
  return [metadata.namespace ?? '']
}
