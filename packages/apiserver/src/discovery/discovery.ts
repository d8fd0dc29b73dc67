/** `/api`, `/apis` and the APIResourceList of each group version: what is served right now, and nothing else. */
import { groupVersion, type Registry } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import type { Subresource } from '../verbs/subresource.ts'

export interface Discovery {
  /** `/api` */
  coreVersions(serverAddress: string): object
  /** `/apis` */
  groups(): object
  /** `/apis/GROUP` */
  group(name: string): object | undefined
  /** `/api/v1` and `/apis/GROUP/VERSION` */
  resources(group: string, version: string): object | undefined
  /** `/api` and `/apis` in the aggregated form. */
  aggregated(path: '/api' | '/apis', version: 'v2' | 'v2beta1'): object
}

type SubresourcesOf = (resource: Resource) => readonly Subresource[]

export function createDiscovery(registry: Registry, subresourcesOf: SubresourcesOf): Discovery {
  const documents = new Map<string, object | undefined>()
  let generation = -1

  function remember<T extends object | undefined>(key: string, make: () => T): T {
    if (generation !== registry.generation) {
      documents.clear()
      generation = registry.generation
    }
    if (!documents.has(key)) documents.set(key, Object.freeze(make()))
    return documents.get(key) as T
  }

  return {
    coreVersions: (serverAddress) => ({
      kind: 'APIVersions',
      versions: ['v1'],
      serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
    }),
    groups: () =>
      remember('groups', () => ({
        kind: 'APIGroupList',
        apiVersion: 'v1',
        groups: groupNames(registry).map((name) => describeGroup(registry, name)),
      })),
    group: (name) =>
      remember(`group ${name}`, () =>
        groupNames(registry).includes(name)
          ? { kind: 'APIGroup', apiVersion: 'v1', ...describeGroup(registry, name) }
          : undefined,
      ),
    resources: (group, version) =>
      remember(`resources ${group}/${version}`, () => {
        if (!registry.hasGroupVersion(group, version)) return undefined
        return {
          kind: 'APIResourceList',
          ...(group !== '' && { apiVersion: 'v1' }),
          groupVersion: groupVersion({ group, version }),
          resources: inVersion(registry, group, version).flatMap((resource) =>
            describeResource(resource, subresourcesOf(resource)),
          ),
        }
      }),
    aggregated: (path, version) =>
      remember(`aggregated ${path} ${version}`, () => ({
        kind: 'APIGroupDiscoveryList',
        apiVersion: `apidiscovery.k8s.io/${version}`,
        metadata: {},
        items: (path === '/api' ? [''] : groupNames(registry)).map((name) =>
          describeAggregated(registry, name, subresourcesOf),
        ),
      })),
  }
}

function groupNames(registry: Registry): string[] {
  return [...new Set(registry.all().map(({ group }) => group))].filter((group) => group !== '')
}

function versionsOf(registry: Registry, group: string): string[] {
  return [...new Set(registry.all().flatMap((each) => (each.group === group ? [each.version] : [])))]
}

function inVersion(registry: Registry, group: string, version: string): Resource[] {
  return registry.all().filter((each) => each.group === group && each.version === version)
}

function describeGroup(registry: Registry, name: string): object {
  const versions = versionsOf(registry, name).map((version) => ({ groupVersion: `${name}/${version}`, version }))
  return { name, versions, preferredVersion: versions[0] }
}

function describeResource(resource: Resource, subresources: readonly Subresource[]): object[] {
  const { plural, singular, namespaced, kind, verbs, shortNames, categories } = resource
  return [
    {
      name: plural,
      singularName: singular,
      namespaced,
      kind,
      verbs: [...verbs].sort(),
      ...(shortNames.length > 0 && { shortNames }),
      ...(categories.length > 0 && { categories }),
      storageVersionHash: storageVersionHash(resource),
    },
    ...subresources.map((sub) => ({
      name: `${plural}/${sub.name}`,
      singularName: '',
      namespaced,
      ...(sub.group !== undefined && { group: sub.group, version: sub.version }),
      kind: sub.kind,
      verbs: [...sub.verbs].sort(),
    })),
  ]
}

function describeAggregated(registry: Registry, group: string, subresourcesOf: SubresourcesOf): object {
  return {
    metadata: { name: group, creationTimestamp: null },
    versions: versionsOf(registry, group).map((version) => ({
      version,
      freshness: 'Current',
      resources: inVersion(registry, group, version).map((resource) =>
        describeAggregatedResource(resource, subresourcesOf(resource)),
      ),
    })),
  }
}

function describeAggregatedResource(resource: Resource, all: readonly Subresource[]): object {
  const { group, version, kind, namespaced, plural, singular, verbs, shortNames, categories } = resource
  const subresources = all.map((sub) => ({
    subresource: sub.name,
    responseKind: { group: sub.group ?? group, version: sub.version ?? version, kind: sub.kind },
    verbs: [...sub.verbs].sort(),
  }))
  return {
    resource: plural,
    responseKind: { group, version, kind },
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs: [...verbs].sort(),
    ...(shortNames.length > 0 && { shortNames }),
    ...(categories.length > 0 && { categories }),
    ...(subresources.length > 0 && { subresources }),
  }
}

/** Clients compare it to see whether an object is stored in the version they know: any stable text of eight bytes does. */
function storageVersionHash({ group, storageVersion, kind }: Resource): string {
  return hash64(`${group}/${storageVersion}/${kind}`).toString('base64')
}

function hash64(text: string): Buffer {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(hash)
  return bytes
}
