/** What a Pod's containers are made from besides the Pod itself: read from caches, and from the server where those lag. */
import {
  type AnyObject,
  type Client,
  type Informers,
  isNotFound,
  joinKey,
  type Resource,
  resources,
} from '@caisson/client'
import { createFollowedReferences, type FollowedReferences } from './followed-references.ts'
import { createReferencedObjects } from './referenced-objects.ts'
import type { Reference } from './references.ts'

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

export interface OwnedPodSources extends PodSources, AsyncDisposable {
  /** Of the Pods whose ConfigMaps and Secrets are followed. */
  references: Omit<FollowedReferences, 'followersOf'>
}

export interface PodSourcesOptions {
  client: Client
  informers: Informers
  /** What a Pod refers to has changed since it was read. */
  onChanged(uid: string): void
}

export function createPodSources({ client, informers, onChanged }: PodSourcesOptions): OwnedPodSources {
  const configMaps = createReferencedObjects({
    client,
    resource: resources.configMaps,
    onChanged: (object) => tell({ kind: 'configmap', ...object }),
  })
  const secrets = createReferencedObjects({
    client,
    resource: resources.secrets,
    onChanged: (object) => tell({ kind: 'secret', ...object }),
  })
  const references = createFollowedReferences({
    retain: (reference) => objectsOf(reference).retain(reference),
    release: (reference) => objectsOf(reference).release(reference),
  })
  const services = informers.of(resources.services, { indexers: { namespace: byNamespace } })

  function objectsOf({ kind }: Reference): Pick<typeof configMaps, 'retain' | 'release'> {
    return kind === 'secret' ? secrets : configMaps
  }

  function tell(reference: Reference): void {
    for (const uid of references.followersOf(reference)) onChanged(uid)
  }

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
    references,
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
      await Promise.all([configMaps[Symbol.asyncDispose](), secrets[Symbol.asyncDispose]()])
    },
  }
}

function byNamespace({ metadata }: AnyObject): readonly string[] {
  return [metadata.namespace ?? '']
}
