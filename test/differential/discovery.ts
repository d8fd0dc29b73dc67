/** Discovery, classic and aggregated, as far as it is about what the embedded API server serves. */
import { builtinResources } from '../../packages/apiserver/src/registry/builtin/index.ts'
import { post, type Writer } from './requests.ts'

const SERVED = builtinResources()
const GROUP_VERSIONS = [...new Set(SERVED.map(({ group, version }) => `${group}/${version}`))]

/** Groups of this script's own definitions; each is served by then. */
const CUSTOM_GROUPS = ['example.com', 'versions.example.com', 'scaled.example.com']

const AGGREGATED = ['v2', 'v2beta1'].map(
  (version) => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
)

export function discoverySteps({ add }: Pick<Writer, 'add'>): void {
  add('discovery: the API versions', { method: 'GET', path: '/api' })
  add('discovery: the groups', {
    method: 'GET',
    path: '/apis',
    select: (body) => ({
      ...(body as object),
      groups: (body as { groups: Group[] }).groups.filter(isServed).map((group) => ({
        ...group,
        versions: group.versions.filter(({ version }) => serves(group.name, version)),
      })),
    }),
  })
  for (const groupVersion of GROUP_VERSIONS) {
    const [group = '', version = ''] = groupVersion.split('/')
    const path = group === '' ? `/api/${version}` : `/apis/${groupVersion}`
    add(`discovery: resources of ${groupVersion}`, {
      method: 'GET',
      path,
      select: (body) => ({
        ...(body as object),
        resources: (body as { resources: Array<{ name: string }> }).resources.filter(({ name }) =>
          serves(group, version, name.split('/')[0]),
        ),
      }),
    })
  }
  for (const accept of [...AGGREGATED, `${AGGREGATED.join()},application/json`, 'application/json;as=Nothing']) {
    for (const path of ['/api', '/apis']) {
      add(`discovery: ${path} as ${accept}`, { method: 'GET', path, accept, select: servedPart })
    }
  }
  add('discovery: an unknown group', { method: 'GET', path: '/apis/unknown.example.com' })
  add('discovery: an unknown version', { method: 'GET', path: '/apis/node.k8s.io/v9' })
  add('discovery: posted to', post('/apis/node.k8s.io/v1', {}))
}

interface Group {
  name: string
  versions: Array<{ version: string }>
}

interface AggregatedGroup {
  metadata: { name?: string }
  versions: Array<{ version: string; resources?: Array<{ resource: string }> }>
}

function serves(group: string, version: string, plural?: string): boolean {
  if (CUSTOM_GROUPS.includes(group)) return true
  return SERVED.some(
    (resource) =>
      resource.group === group && resource.version === version && (plural === undefined || resource.plural === plural),
  )
}

function isServed({ name, versions }: Group): boolean {
  return versions.some(({ version }) => serves(name, version))
}

/** What of an APIGroupDiscoveryList is about served kinds; any other body whole. */
function servedPart(body: unknown): unknown {
  const { kind, items } = body as { kind: string; items: AggregatedGroup[] }
  if (kind !== 'APIGroupDiscoveryList') return kind
  const groups = items.map((group) => {
    const name = group.metadata.name ?? ''
    const versions = group.versions
      .filter(({ version }) => serves(name, version))
      .map((version) => ({
        ...version,
        resources: version.resources?.filter(({ resource }) => serves(name, version.version, resource)),
      }))
    return { ...group, versions }
  })
  return { ...(body as object), items: groups.filter(({ versions }) => versions.length > 0) }
}
