/** `/api`, `/apis` and the APIResourceList of each group version: what is served right now, and nothing else. */
import { createHash } from 'node:crypto'
import { groupVersion, type Registry } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import type { Subresource } from '../verbs/environment.ts'

export interface Discovery {
  /** `/api` */
  coreVersions(serverAddress: string): object
  /** `/apis` */
  groups(): object
  /** `/apis/GROUP` */
  group(name: string): object | undefined
  /** `/api/v1` and `/apis/GROUP/VERSION` */
  resources(group: string, version: string): object | undefined
  /** Whether the group has kinds of Kubernetes' own. */
  isBuiltin(group: string): boolean
  /** `/api` and `/apis` in the aggregated form, apidiscovery.k8s.io/v2. */
  aggregated(path: '/api' | '/apis'): object
}

type SubresourcesOf = (resource: Resource) => readonly Subresource[]

export function createDiscovery(registry: Registry, subresourcesOf: SubresourcesOf): Discovery {
  const documents = new Map<string, object>()
  let generation = -1

  function remember<T extends object | undefined>(key: string, make: () => T): T {
    if (generation !== registry.generation) {
      documents.clear()
      generation = registry.generation
    }
    const known = documents.get(key)
    if (known) return known as T
    const made = Object.freeze(make())
    // What does not exist has more names than there is memory for.
    if (made) documents.set(key, made)
    return made
  }

  return {
    isBuiltin: (group) => registry.all().some((resource) => resource.group === group && !resource.custom),
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
    aggregated: (path) =>
      remember(`aggregated ${path}`, () => ({
        kind: 'APIGroupDiscoveryList',
        apiVersion: 'apidiscovery.k8s.io/v2',
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
      verbs: resource.custom ? customVerbs(resource) : [...verbs].sort(),
      ...(shortNames.length > 0 && { shortNames }),
      ...(categories.length > 0 && { categories }),
      storageVersionHash: storageVersionHash(resource),
    },
    ...inOrder(resource, subresources).map((sub) => ({
      name: `${plural}/${sub.name}`,
      singularName: '',
      namespaced,
      ...(sub.group !== undefined && { group: sub.group, version: sub.version }),
      kind: sub.kind,
      verbs: [...sub.verbs].sort(),
    })),
  ]
}

/** In kube-apiserver's order; nothing is created or changed while the definition goes away. */
function customVerbs({ terminating }: Resource): string[] {
  const all = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch']
  return terminating ? all.filter((verb) => !['patch', 'create', 'update'].includes(verb)) : all
}

function describeAggregated(registry: Registry, group: string, subresourcesOf: SubresourcesOf): object {
  return {
    metadata: group === '' ? {} : { name: group },
    versions: versionsOf(registry, group).map((version) => ({
      version,
      resources: inVersion(registry, group, version).map((resource) =>
        describeAggregatedResource(resource, subresourcesOf(resource)),
      ),
      freshness: 'Current',
    })),
  }
}

function describeAggregatedResource(resource: Resource, all: readonly Subresource[]): object {
  const { kind, namespaced, plural, singular, verbs, shortNames, categories } = resource
  // kube-apiserver names the group and the version of a built-in kind only where they are not the list's own.
  const { group, version } = resource.custom ? resource : { group: '', version: '' }
  const subresources = inOrder(resource, all).map((sub) => ({
    subresource: sub.name,
    responseKind: { group: sub.group ?? group, version: sub.version ?? version, kind: sub.kind },
    verbs: [...sub.verbs].sort(),
  }))
  return {
    resource: plural,
    responseKind: { group, version, kind },
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs: resource.custom ? customVerbs(resource) : [...verbs].sort(),
    ...(shortNames.length > 0 && { shortNames }),
    ...(categories.length > 0 && { categories }),
    ...(subresources.length > 0 && { subresources }),
  }
}

/** Custom resources have `status` before `scale`, everything else is sorted by name. */
function inOrder({ custom }: Resource, subresources: readonly Subresource[]): readonly Subresource[] {
  return custom ? subresources.toSorted((a, b) => (a.name < b.name ? 1 : -1)) : subresources
}

/** Where kube-apiserver stores a kind in another version than those that it is served in. */
const STORED_AS: Readonly<Record<string, string>> = {
  'events.k8s.io/v1/Event': '/v1/Event',
  'apiextensions.k8s.io/v1/CustomResourceDefinition': 'apiextensions.k8s.io/v1beta1/CustomResourceDefinition',
}

/** Clients compare it to see whether a kind is stored in the version that they know. */
function storageVersionHash({ group, storageVersion, kind }: Resource): string {
  const stored = `${group}/${storageVersion}/${kind}`
  const digest = createHash('sha256')
    .update(STORED_AS[stored] ?? stored)
    .digest()
  return digest.subarray(0, 8).toString('base64')
}
