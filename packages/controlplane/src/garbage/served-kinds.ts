/** What an API server serves that can be followed and taken away, by discovery. */
import type { KubeObject } from '@caisson/api'
import { type Client, defineResource, type Resource } from '@caisson/client'
import type { ResourceName } from './ownership-graph.ts'

export interface ServedKinds {
  /** Each kind in the versions that have it, the one that its server prefers first. */
  served: ReadonlyMap<ResourceName, readonly [Resource<KubeObject>, ...Resource<KubeObject>[]]>
  /** By the group: why it is not known what is in it, as of another API server that does not answer. */
  failures: ReadonlyMap<string, unknown>
}

interface ApiResource {
  name: string
  kind: string
  namespaced: boolean
  verbs: string[]
}

const NEEDED = ['list', 'watch', 'delete']

/** @throws where not even the groups are told */
export async function servedKinds(client: Client, signal: AbortSignal): Promise<ServedKinds> {
  const served = new Map<ResourceName, [Resource<KubeObject>, ...Resource<KubeObject>[]]>()
  const failures = new Map<string, unknown>()
  for (const { group, version } of await groupVersions(client, signal)) {
    const path = group ? `/apis/${group}/${version}` : `/api/${version}`
    try {
      const list = await client.request<{ resources?: ApiResource[] }>({ method: 'GET', path, signal })
      for (const { name: plural, kind, namespaced, verbs } of list.resources ?? []) {
        if (plural.includes('/') || !NEEDED.every((verb) => verbs.includes(verb))) continue
        const resource = defineResource<KubeObject>({ group, version, plural, kind, namespaced })
        const name = resourceName(group, plural)
        const known = served.get(name)
        if (known) known.push(resource)
        else served.set(name, [resource])
      }
    } catch (error) {
      failures.set(group, error)
    }
  }
  return { served, failures }
}

export function resourceName(group: string, plural: string): ResourceName {
  return group ? `${plural}.${group}` : plural
}

async function groupVersions(client: Client, signal: AbortSignal): Promise<{ group: string; version: string }[]> {
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
  const rest = new Set(all.map(({ groupVersion }) => groupVersion))
  return ['/v1', ...rest].map((groupVersion) => {
    const slash = groupVersion.indexOf('/')
    return { group: groupVersion.slice(0, slash), version: groupVersion.slice(slash + 1) }
  })
}
