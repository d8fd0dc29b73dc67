/** The life of definitions: of several versions of one kind, of names, and of a definition that goes with its objects. */
import { type Add, apply, CRDS, get, merge, post, TABLE } from './requests.ts'
import { field } from './script.ts'

const schema = (properties: object): object => ({
  openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties } } },
})

const BOTH = { a: { type: 'string' }, b: { type: 'integer' } }
export const DOUBLES = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'doubles.versions.example.com' },
  spec: {
    group: 'versions.example.com',
    scope: 'Namespaced',
    names: { plural: 'doubles', kind: 'Double', categories: ['all'] },
    versions: [
      { name: 'v1alpha1', served: true, storage: false, deprecated: true, schema: schema(BOTH) },
      { name: 'v1', served: true, storage: true, schema: schema({ a: { type: 'string' } }) },
      { name: 'v2', served: false, storage: false, schema: schema({ a: { type: 'string' } }) },
    ],
  },
}

export const WIDGETS = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.life.example.com' },
  spec: {
    group: 'life.example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', kind: 'Widget', shortNames: ['wd'] },
    versions: [{ name: 'v1', served: true, storage: true, schema: schema({ size: { type: 'integer' } }) }],
  },
}

/** Two versions of one kind, converted by renaming alone. */
export function versionsOfOneDefinition(add: Add): void {
  const path = (version: string): string => `/apis/versions.example.com/${version}/namespaces/one/doubles`
  const double = (version: string, name: string, spec: object): object => ({
    apiVersion: `versions.example.com/${version}`,
    kind: 'Double',
    metadata: { name },
    spec,
  })
  add('versions: the definition', get(`${CRDS}/doubles.versions.example.com`))
  add('versions: the group', get('/apis/versions.example.com'))
  add('versions: the newest version', get('/apis/versions.example.com/v1'))
  add('versions: the old version', get('/apis/versions.example.com/v1alpha1'))
  add('versions: one that is not served', get('/apis/versions.example.com/v2'))
  add('versions: objects of that', get(path('v2')))
  add('versions: create in the old one', post(path('v1alpha1'), double('v1alpha1', 'old', { a: 'x', b: 1 })))
  add('versions: create in the new one', post(path('v1'), double('v1', 'new', { a: 'y' })))
  add('versions: create in the wrong one', post(path('v1'), double('v1alpha1', 'wrong', {})))
  for (const version of ['v1', 'v1alpha1']) {
    add(`versions: old in ${version}`, get(`${path(version)}/old`))
    add(`versions: list in ${version}`, get(path(version)))
    add(`versions: change new in ${version}`, merge(`${path(version)}/new`, { spec: { b: 2, a: version } }))
    add(
      `versions: apply in ${version}`,
      apply(`${path(version)}/new`, double(version, 'new', { a: `applied ${version}` }), 'red', true),
    )
  }
  add('versions: serve the third', (memory) => ({
    method: 'PATCH',
    path: `${CRDS}/doubles.versions.example.com`,
    contentType: 'application/json-patch+json',
    body: [
      { op: 'test', path: '/spec/group', value: 'versions.example.com' },
      { op: 'replace', path: '/spec/versions/2/served', value: true },
      {
        op: 'replace',
        path: '/metadata/resourceVersion',
        value: field(memory, 'versions: the definition', 'metadata.resourceVersion'),
      },
    ],
  }))
}

/** A definition changes and goes while there are objects of it. */
export function definitionLife(add: Add): void {
  const name = 'widgets.life.example.com'
  const path = '/apis/life.example.com/v1/namespaces/one/widgets'
  const widget = (label: string, spec: object): object => ({
    apiVersion: 'life.example.com/v1',
    kind: 'Widget',
    metadata: { name: label },
    spec,
  })
  add('life: it again', post(CRDS, WIDGETS))
  add('life: an object', post(path, widget('w', { size: 3 })))
  add('life: change of the group', merge(`${CRDS}/${name}`, { spec: { group: 'other.example.com' } }))
  add('life: change of the scope', merge(`${CRDS}/${name}`, { spec: { scope: 'Cluster' } }))
  add('life: change of the kind', merge(`${CRDS}/${name}`, { spec: { names: { kind: 'Other' } } }))
  add('life: no versions', merge(`${CRDS}/${name}`, { spec: { versions: [] } }))
  add('life: status of the definition', merge(`${CRDS}/${name}/status`, { status: { storedVersions: [] } }))
  add('life: update without a version', {
    method: 'PUT',
    path: `${CRDS}/${name}`,
    body: WIDGETS,
  })
  add('life: update of its labels', merge(`${CRDS}/${name}`, { metadata: { labels: { team: 'x' } } }))
  add('life: table of definitions', { method: 'GET', path: `${CRDS}/${name}`, accept: TABLE })
  add('life: delete the definition, dry', { method: 'DELETE', path: `${CRDS}/${name}`, query: { dryRun: 'All' } })
  add('life: the object is there', get(`${path}/w`))
}

/** A definition is deleted while there are objects of it, one of which is held by a finalizer. */
export function definitionDeath(add: Add): void {
  const definition = `${CRDS}/widgets.life.example.com`
  const path = '/apis/life.example.com/v1/namespaces/one/widgets'
  const widget = (name: string, metadata: object = {}): object => ({
    apiVersion: 'life.example.com/v1',
    kind: 'Widget',
    metadata: { name, ...metadata },
    spec: { size: 3 },
  })
  add('death: a free object', post(path, widget('free')))
  add('death: a held object', post(path, widget('held', { finalizers: ['example.com/stay'] })))
  add('death: delete the definition', { method: 'DELETE', path: definition })
  // kube-apiserver empties the kind a moment later; what is asked from here on is the same once it has tried.
  add('death: it terminates', {
    ...get(definition),
    until: (body) => conditionReason(body, 'Terminating') === 'InstanceDeletionInProgress',
  })
  add('death: what is left', { ...get(path), until: (body) => namesOf(body).join() === 'held' })
  add('death: the free object', get(`${path}/free`))
  add('death: the held object', get(`${path}/held`))
  add('death: create', post(path, widget('late')))
  add('death: create by apply', apply(`${path}/applied`, widget('applied'), 'red'))
  add('death: its resources', {
    ...get('/apis/life.example.com/v1'),
    until: (body) => !verbsOf(body).includes('create'),
  })
  add('death: delete the definition again', { method: 'DELETE', path: definition })
  add('death: define it again', post(CRDS, WIDGETS))
  add('death: change the held object', merge(`${path}/held`, { spec: { size: 4 } }))
  add('death: let it go', merge(`${path}/held`, { metadata: { finalizers: null } }))
  add('death: the definition is gone', { ...get(definition), until: isNotFound })
  add('death: the kind is gone', { ...get(path), until: (body) => isNotFound(body) || typeof body === 'string' })
  add('death: the group is gone', { ...get('/apis/life.example.com'), until: (body) => typeof body === 'string' })
  add('death: definition of widgets, anew', post(CRDS, WIDGETS))
  add('death: it is empty', {
    ...get(path),
    until: (body) => (body as { kind?: string }).kind === 'WidgetList',
  })
}

function conditionReason(body: unknown, type: string): string | undefined {
  const { status } = body as { status?: { conditions?: Array<{ type: string; reason: string }> } }
  return status?.conditions?.find((condition) => condition.type === type)?.reason
}

function namesOf(body: unknown): string[] {
  const { items } = body as { items?: Array<{ metadata: { name: string } }> }
  return (items ?? []).map(({ metadata }) => metadata.name)
}

function verbsOf(body: unknown): string[] {
  const { resources } = body as { resources?: Array<{ verbs: string[] }> }
  return resources?.[0]?.verbs ?? []
}

function isNotFound(body: unknown): boolean {
  return (body as { code?: number }).code === 404
}
