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

export function createPodSources(client: Client, informers: Informers): PodSources {
  const services = informers.of(resources.services, { indexers: { namespace: byNamespace } })

  function reader<T extends AnyObject>(resource: Resource<T>) {
    const informer = informers.of(resource)
    return async (namespace: string | undefined, name: string): Promise<T | undefined> => {
      const known = informer.get(joinKey(namespace, name))
      if (known) return known
      // The Pod may be newer than what this cache has heard of.
      try {
        return await client.get(resource, name, { namespace })
      } catch (error) {
        if (isNotFound(error)) return undefined
        throw error
      }
    }
  }

  const volume = reader(resources.persistentVolumes)
  const runtimeClass = reader(resources.runtimeClasses)
  return {
    configMap: reader(resources.configMaps),
    secret: reader(resources.secrets),
    volumeClaim: reader(resources.persistentVolumeClaims),
    volume: (name) => volume(undefined, name),
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
  }
}

function byNamespace({ metadata }: AnyObject): readonly string[] {
  return [metadata.namespace ?? '']
}
