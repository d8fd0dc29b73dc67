/** Which kinds exist right now: the built-in ones, and those that CustomResourceDefinitions add and remove. */
import type { ResourceKey } from '../storage/store.ts'
import { comparePriority } from './custom-resources-versions.ts'
import type { Resource } from './resource.ts'

export interface Registry {
  /** Raised by every change: what caches of discovery and OpenAPI compare. */
  readonly generation: number
  /** What no CustomResourceDefinition can add, change or remove. */
  readonly builtin: readonly Resource[]
  /** Whether a webhook converts objects of any kind. */
  readonly converts: boolean
  find(group: string, version: string, plural: string): Resource | undefined
  hasGroupVersion(group: string, version: string): boolean
  hasKind(apiVersion: string, kind: string): boolean
  /** In the order of discovery: built-in groups first, each group's versions in their order of preference. */
  all(): readonly Resource[]
  /** Any version of what is stored under `key`: all of them are stored alike. */
  storedAs(key: ResourceKey): Resource | undefined
  /** Replaces what `owner` (a CustomResourceDefinition's name) has contributed; an empty list takes it away. */
  set(owner: string, resources: readonly Resource[]): void
}

export function resourceKey(resource: { group: string; plural: string }): ResourceKey {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`
}

/** Under which key the store holds objects of the kind: another kind's, where this one is a view of it. */
export function storageKey(resource: Resource): ResourceKey {
  return resource.stored?.key ?? resourceKey(resource)
}

/** Of what is stored, by which errors of validation call an object of any version. */
export function storedKind(resource: Resource): { group: string; kind: string } {
  const { stored, group, kind } = resource
  return stored ? { group: stored.key.slice(resource.plural.length + 1), kind } : { group, kind }
}

export function groupVersion(resource: { group: string; version: string }): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
}

export function createRegistry(builtin: readonly Resource[]): Registry {
  const contributed = new Map<string, readonly Resource[]>()
  let generation = 0
  let all: readonly Resource[] = []
  let byPath = new Map<string, Resource>()
  let byKey = new Map<string, Resource>()
  let groupVersions = new Set<string>()
  let kinds = new Set<string>()
  let converts = false

  function rebuild(): void {
    generation++
    all = [...builtin, ...[...contributed.values()].flat().sort(byGroup)]
    byPath = new Map(all.map((resource) => [`${groupVersion(resource)}/${resource.plural}`, resource]))
    byKey = new Map(all.map((resource) => [storageKey(resource), resource]))
    groupVersions = new Set(all.map(groupVersion))
    converts = all.some(({ conversion }) => conversion !== undefined)
    kinds = new Set(all.map((resource) => `${groupVersion(resource)} ${resource.kind}`))
  }
  rebuild()

  return {
    get generation() {
      return generation
    },
    builtin,
    get converts() {
      return converts
    },
    find: (group, version, plural) =>
      byPath.get(group === '' ? `${version}/${plural}` : `${group}/${version}/${plural}`),
    hasGroupVersion: (group, version) => groupVersions.has(group === '' ? version : `${group}/${version}`),
    hasKind: (apiVersion, kind) => kinds.has(`${apiVersion} ${kind}`),
    all: () => all,
    storedAs: (key) => byKey.get(key),
    set(owner, resources) {
      if (resources.length === 0) {
        if (!contributed.delete(owner)) return
      } else contributed.set(owner, resources)
      rebuild()
    },
  }
}

// kubectl takes a short name from the first group that has it. `sandboxclaims` exist in both groups, and the canonical
// kinds are those of the extensions group.
const FIRST_GROUP = 'extensions.agents.x-k8s.io'

function byGroup(a: Resource, b: Resource): number {
  if (a.group === b.group)
    return comparePriority(a.version, b.version) || (a.plural < b.plural ? -1 : a.plural > b.plural ? 1 : 0)
  if (a.group === FIRST_GROUP) return -1
  if (b.group === FIRST_GROUP) return 1
  return a.group < b.group ? -1 : 1
}
