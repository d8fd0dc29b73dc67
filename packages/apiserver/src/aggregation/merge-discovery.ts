/** What discovery says of the groups of other API servers, beside those of this one. */
import type { RemoteResource, RemoteService } from './remote-services.ts'

interface Group {
  name: string
  versions: Array<{ groupVersion: string; version: string }>
  preferredVersion?: object
}

interface AggregatedGroup {
  metadata: { name?: string }
  versions: object[]
}

/** Those that answer, by group: the groups with the highest priority first, and in each the versions likewise. */
function byGroup(remotes: Iterable<RemoteService>): Map<string, RemoteService[]> {
  const available = [...remotes].filter(({ isAvailable }) => isAvailable)
  const priority = new Map<string, number>()
  for (const { group, groupPriority } of available)
    priority.set(group, Math.max(priority.get(group) ?? 0, groupPriority))
  available.sort(
    (a, b) =>
      (priority.get(b.group) ?? 0) - (priority.get(a.group) ?? 0) ||
      (a.group === b.group ? b.versionPriority - a.versionPriority : a.group < b.group ? -1 : 1),
  )
  return Map.groupBy(available, ({ group }) => group)
}

/** An APIGroupList; local groups come first. */
export function mergeGroups(local: { groups: readonly Group[] }, remotes: Iterable<RemoteService>): object {
  const others = byGroup(remotes)
  const groups = local.groups.map((group) => withVersions(group, others.get(group.name) ?? []))
  const names = new Set(local.groups.map(({ name }) => name))
  for (const [name, services] of others)
    if (!names.has(name)) groups.push(withVersions({ name, versions: [] }, services))
  return { ...local, groups }
}

/** An APIGroup; undefined where nobody has it. */
export function mergeGroup(
  name: string,
  local: Group | undefined,
  remotes: Iterable<RemoteService>,
): object | undefined {
  const services = byGroup(remotes).get(name) ?? []
  if (!local && services.length === 0) return undefined
  return { kind: 'APIGroup', apiVersion: 'v1', ...withVersions(local ?? { name, versions: [] }, services) }
}

function withVersions(group: Group, services: readonly RemoteService[]): Group {
  if (services.length === 0) return group
  const others = services.map(({ version }) => ({ groupVersion: `${group.name}/${version}`, version }))
  const versions = [...group.versions, ...others]
  return { ...group, versions, preferredVersion: versions[0] as object }
}

/** An APIGroupDiscoveryList; local groups come first. */
export function mergeAggregated(
  local: { items: readonly AggregatedGroup[] },
  remotes: Iterable<RemoteService>,
): object {
  const others = byGroup(remotes)
  const items = local.items.map((item) => {
    const services = others.get(item.metadata.name ?? '') ?? []
    return services.length > 0 ? { ...item, versions: [...item.versions, ...services.map(describeVersion)] } : item
  })
  const names = new Set(local.items.map(({ metadata }) => metadata.name))
  for (const [name, services] of others)
    if (!names.has(name)) items.push({ metadata: { name }, versions: services.map(describeVersion) })
  return { ...local, items }
}

function describeVersion({ version, resources }: RemoteService): object {
  const whole = resources.filter(({ name }) => !name.includes('/'))
  return { version, resources: whole.map((each) => describeResource(each, resources)), freshness: 'Current' }
}

function describeResource(resource: RemoteResource, all: readonly RemoteResource[]): object {
  const { name, namespaced, singularName = '', verbs, shortNames, categories } = resource
  const subresources = all
    .filter((each) => each.name.startsWith(`${name}/`))
    .map((each) => ({ subresource: each.name.slice(name.length + 1), responseKind: kindOf(each), verbs: each.verbs }))
  return {
    resource: name,
    responseKind: kindOf(resource),
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singularName,
    verbs,
    ...(shortNames && { shortNames }),
    ...(categories && { categories }),
    ...(subresources.length > 0 && { subresources }),
  }
}

function kindOf({ group = '', version = '', kind }: RemoteResource): object {
  return { group, version, kind }
}
