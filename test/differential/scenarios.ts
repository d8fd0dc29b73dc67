/** Scenarios that have an order, in namespaces of their own: what the life of single objects leaves out. */
import { admission } from './admission.ts'
import { quotas } from './quotas.ts'
import { field, type Request, type Step } from './script.ts'

const MERGE = 'application/merge-patch+json'
const APPLY = 'application/apply-patch+yaml'
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

type Add = (label: string, request: Step['request']) => void

const get = (path: string, query?: Record<string, string>): Request => ({
  method: 'GET',
  path,
  ...(query && { query }),
})
const post = (path: string, body: unknown): Request => ({ method: 'POST', path, body })
const merge = (path: string, body: unknown): Request => ({ method: 'PATCH', path, body, contentType: MERGE })
const apply = (path: string, body: unknown, fieldManager: string, force = false): Request => ({
  method: 'PATCH',
  path,
  body,
  contentType: APPLY,
  query: { fieldManager, ...(force && { force: 'true' }) },
})

export function scenarioSteps(add: Add): void {
  add('life: objects before there is a definition', get('/apis/life.example.com/v1/namespaces/one/widgets'))
  // kube-apiserver serves a new definition a moment after it has answered: what needs them comes at the end.
  add('versions: definition of doubles', post(CRDS, DOUBLES))
  add('life: definition of widgets', post(CRDS, WIDGETS))
  add('scaled: definition of herds', post(CRDS, HERDS))
  namespaceLife(add)
  statusDoors(add)
  collections(add)
  resumedWatches(add)
  appliedLists(add)
  versionsOfOneDefinition(add)
  definitionLife(add)
  definitionDeath(add)
  scaled(add)
  quotas(add)
  admission(add)
  appliedScale(add)
}

/** Without the namespace controller a deleted namespace stays, terminating, until somebody finalizes it. */
function namespaceLife(add: Add): void {
  const path = '/api/v1/namespaces'
  const inside = `${path}/mortal/configmaps`
  const configMap = (name: string): object => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } })
  add('namespace life: create', post(path, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'mortal' } }))
  add('namespace life: an object', post(inside, configMap('a')))
  add('namespace life: change its labels', merge(`${path}/mortal`, { metadata: { labels: { team: 'x' } } }))
  add('namespace life: change its finalizers', merge(`${path}/mortal`, { spec: { finalizers: [] } }))
  add('namespace life: change its phase', merge(`${path}/mortal/status`, { status: { phase: 'Bogus' } }))
  add('namespace life: by phase', get(path, { fieldSelector: 'status.phase=Active,metadata.name=mortal' }))
  add('namespace life: delete', { method: 'DELETE', path: `${path}/mortal` })
  add('namespace life: delete again', { method: 'DELETE', path: `${path}/mortal` })
  add('namespace life: get', get(`${path}/mortal`))
  add('namespace life: table', { method: 'GET', path: `${path}/mortal`, accept: TABLE })
  add('namespace life: create inside', post(inside, configMap('b')))
  add('namespace life: apply inside', apply(`${inside}/c`, configMap('c'), 'red'))
  add('namespace life: change inside', merge(`${inside}/a`, { data: { k: 'v' } }))
  add('namespace life: delete inside', { method: 'DELETE', path: `${inside}/a` })
  add('namespace life: finalize', {
    method: 'PUT',
    path: `${path}/mortal/finalize`,
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'mortal' }, spec: { finalizers: [] } },
  })
  add('namespace life: after', get(`${path}/mortal`))
  add('namespace life: create in nothing', post(inside, configMap('d')))
}

/** `status` of built-in kinds: what each door lets through. */
function statusDoors(add: Add): void {
  const pods = '/api/v1/namespaces/one/pods'
  const spec = { containers: [{ name: 'a', image: 'x' }] }
  add('status: a pod', post(pods, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'st' }, spec }))
  const condition = { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }
  add('status: conditions', merge(`${pods}/st/status`, { status: { phase: 'Running', conditions: [condition] } }))
  add('status: strategic', {
    method: 'PATCH',
    path: `${pods}/st/status`,
    contentType: 'application/strategic-merge-patch+json',
    body: {
      status: {
        conditions: [
          { type: 'Ready', status: 'False' },
          { type: 'Initialized', status: 'True' },
        ],
      },
    },
  })
  add('status: labels through it', merge(`${pods}/st/status`, { metadata: { labels: { a: 'b' } } }))
  add('status: spec through it', merge(`${pods}/st/status`, { spec: { activeDeadlineSeconds: 5 } }))
  add('status: applied', apply(`${pods}/st/status`, { apiVersion: 'v1', kind: 'Pod', status: { message: 'm' } }, 'red'))
  add('status: get', get(`${pods}/st/status`))
  add('status: of the wrong type', merge(`${pods}/st/status`, { status: { phase: 7 } }))
  add('status: of nobody', merge(`${pods}/nobody/status`, { status: {} }))
  add('status: deleted', { method: 'DELETE', path: `${pods}/st/status` })
  add('status: of a kind without', get('/api/v1/namespaces/one/configmaps/l1/status'))
  const nodes = '/api/v1/nodes'
  add('status: a node', post(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'st' } }))
  add(
    'status: of the node',
    merge(`${nodes}/st/status`, {
      status: { capacity: { cpu: '2', memory: '1Gi', pods: '110' }, conditions: [condition] },
    }),
  )
  add('status: table of the node', { method: 'GET', path: `${nodes}/st`, accept: TABLE })
  add('status: the node goes', { method: 'DELETE', path: `${nodes}/st` })
  add('status: bind the pod', {
    method: 'POST',
    path: `${pods}/st/binding`,
    body: { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'st' }, target: { kind: 'Node', name: 'somewhere' } },
  })
  add('status: bind it again', {
    method: 'POST',
    path: `${pods}/st/binding`,
    body: { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'st' }, target: { kind: 'Node', name: 'elsewhere' } },
  })
  add('status: the bound pod', get(`${pods}/st`))
  add('status: pods by node', get(pods, { fieldSelector: 'spec.nodeName=somewhere' }))
  add(
    'status: pods by node and phase',
    get('/api/v1/pods', { fieldSelector: 'spec.nodeName=somewhere,status.phase=Running' }),
  )
  add('status: pods not on a node', get(pods, { fieldSelector: 'spec.nodeName!=somewhere' }))
  add('status: evict', {
    method: 'POST',
    path: `${pods}/st/eviction`,
    body: {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: 'st' },
      deleteOptions: { gracePeriodSeconds: 0 },
    },
  })
  add('status: evict again', {
    method: 'POST',
    path: `${pods}/st/eviction`,
    body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'st' } },
  })
}

function collections(add: Add): void {
  const path = '/api/v1/namespaces/two/secrets'
  const secret = (name: string, labels: object, finalizers?: string[]): object => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, labels, ...(finalizers && { finalizers }) },
  })
  for (const [index, tier] of ['web', 'web', 'db', 'cache'].entries())
    add(`collection: s${index}`, post(path, secret(`s${index}`, { tier })))
  add('collection: one that stays', post(path, secret('s9', { tier: 'web' }, ['example.com/stay'])))
  const remove = (query: Record<string, string>, body?: unknown): Request => ({ method: 'DELETE', path, query, body })
  add('collection: by a bad selector', remove({ labelSelector: 'a=b=c' }))
  add('collection: by a bad field', remove({ fieldSelector: 'spec.bogus=1' }))
  add('collection: by name', remove({ fieldSelector: 'metadata.name=s2' }))
  add('collection: by field and label', remove({ fieldSelector: 'type=Opaque', labelSelector: 'tier=cache' }))
  add('collection: with preconditions', remove({ labelSelector: 'tier=web' }, { preconditions: { uid: 'wrong' } }))
  add('collection: by label', remove({ labelSelector: 'tier in (web,db)' }, { propagationPolicy: 'Background' }))
  add('collection: what is left', get(path, { labelSelector: 'tier' }))
  add('collection: let it go', merge(`${path}/s9`, { metadata: { finalizers: null } }))
  add('collection: of nothing', remove({ labelSelector: 'tier' }))
  add('collection: over all namespaces', { method: 'DELETE', path: '/api/v1/secrets' })
}

/** A watch that ends is taken up where it ended. */
function resumedWatches(add: Add): void {
  const path = '/apis/coordination.k8s.io/v1/namespaces/two/leases'
  const lease = (name: string): object => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, labels: { w: name } },
    spec: { holderIdentity: 'me' },
  })
  const version =
    (label: string): Step['request'] =>
    (memory) =>
      get(path, { watch: '1', timeoutSeconds: '1', resourceVersion: field(memory, label, 'metadata.resourceVersion') })
  add('resumed: create a', post(path, lease('a')))
  add('resumed: create b', post(path, lease('b')))
  add('resumed: renew a', merge(`${path}/a`, { spec: { leaseTransitions: 1 } }))
  add('resumed: renew b', merge(`${path}/b`, { spec: { leaseTransitions: 2 } }))
  add('resumed: delete a', { method: 'DELETE', path: `${path}/a` })
  add('resumed: from a', version('resumed: create a'))
  add('resumed: from the renewal', version('resumed: renew a'))
  add('resumed: from the end', version('resumed: renew b'))
  add('resumed: one of them', (memory) => ({
    method: 'GET',
    path: `${path}/b`,
    query: {
      watch: 'true',
      timeoutSeconds: '1',
      resourceVersion: field(memory, 'resumed: create a', 'metadata.resourceVersion'),
    },
  }))
  add('resumed: a table of all', (memory) => ({
    method: 'GET',
    path,
    accept: TABLE,
    query: {
      watch: 'true',
      timeoutSeconds: '1',
      includeObject: 'None',
      resourceVersion: field(memory, 'resumed: create a', 'metadata.resourceVersion'),
    },
  }))
  add('resumed: a table with objects', {
    method: 'GET',
    path,
    accept: TABLE,
    query: { watch: 'true', timeoutSeconds: '1', includeObject: 'Object', labelSelector: 'w=b' },
  })
  add('resumed: from the future', get(path, { watch: '1', timeoutSeconds: '1', resourceVersion: '99999999' }))
  add('resumed: with a limit', get(path, { watch: '1', timeoutSeconds: '1', limit: '1' }))
  add('resumed: with a bad selector', get(path, { watch: '1', timeoutSeconds: '1', labelSelector: 'a=b=c' }))
  add('resumed: with a bad field', get(path, { watch: '1', timeoutSeconds: '1', fieldSelector: 'spec.bogus=1' }))
  add('resumed: with a bad timeout', get(path, { watch: '1', timeoutSeconds: 'x' }))
}

/** Server-side apply of keyed lists, sets and atomic lists, by several appliers. */
function appliedLists(add: Add): void {
  const path = '/api/v1/namespaces/one/pods/listed'
  const pod = (containers: unknown[], metadata: object = {}, extra: object = {}): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'listed', ...metadata },
    spec: { containers, ...extra },
  })
  const a = {
    name: 'a',
    image: 'x',
    env: [
      { name: 'A', value: '1' },
      { name: 'B', value: '2' },
    ],
  }
  add('lists: red', apply(path, pod([a], { finalizers: ['example.com/one'] }), 'red'))
  add(
    'lists: green adds a finalizer',
    apply(path, { apiVersion: 'v1', kind: 'Pod', metadata: { finalizers: ['example.com/two'] } }, 'green'),
  )
  add(
    'lists: blue tolerates',
    apply(path, { apiVersion: 'v1', kind: 'Pod', spec: { tolerations: [{ key: 'k', operator: 'Exists' }] } }, 'blue'),
  )
  add('lists: a container too many', apply(path, pod([{ name: 'z', image: 'z' }]), 'green'))
  add('lists: an unknown field', apply(path, pod([{ ...a, bogus: 1 }]), 'red'))
  add('lists: a wrong type', apply(path, pod([{ ...a, image: 7 }]), 'red'))
  add('lists: no key', apply(path, pod([{ image: 'x' }]), 'red'))
  add('lists: a key twice', apply(path, pod([a, a]), 'red'))
  add('lists: another name', apply(path, pod([a], { name: 'other' }), 'red'))
  add('lists: another namespace', apply(path, pod([a], { namespace: 'two' }), 'red'))
  add('lists: another version', apply(path, { ...pod([a]), apiVersion: 'v9' }, 'red'))
  add('lists: another kind', apply(path, { ...pod([a]), kind: 'Node' }, 'red'))
  add('lists: managed fields given', apply(path, pod([a], { managedFields: [] }), 'red'))
  add('lists: red lets its finalizer go', apply(path, pod([a]), 'red'))
  add('lists: reset of ownership', merge(path, { metadata: { managedFields: [{}] } }))
  add('lists: a change after the reset', merge(path, { metadata: { annotations: { after: 'reset' } } }))
  add('lists: red again', apply(path, pod([a]), 'red'))
  add('lists: green lets go', apply(path, { apiVersion: 'v1', kind: 'Pod', metadata: {} }, 'green'))
  const policies = '/apis/networking.k8s.io/v1/namespaces/one/networkpolicies/listed'
  const policy = (types: string[]): object => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'listed' },
    spec: { podSelector: { matchLabels: { a: 'b' } }, policyTypes: types },
  })
  add('lists: an atomic list', apply(policies, policy(['Ingress']), 'red'))
  add('lists: an atomic list of another', apply(policies, policy(['Egress']), 'green'))
  add('lists: an atomic list by force', apply(policies, policy(['Egress']), 'green', true))
}

const schema = (properties: object): object => ({
  openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties } } },
})

const BOTH = { a: { type: 'string' }, b: { type: 'integer' } }
const DOUBLES = {
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

const WIDGETS = {
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

const HERDS = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'herds.scaled.example.com' },
  spec: {
    group: 'scaled.example.com',
    scope: 'Namespaced',
    names: { plural: 'herds', kind: 'Herd' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: { type: 'object', properties: { replicas: { type: 'integer', minimum: 0, maximum: 5 } } },
              status: { type: 'object', properties: { replicas: { type: 'integer' } } },
            },
          },
        },
        subresources: {
          status: {},
          scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
        },
      },
    ],
  },
}

/** Two versions of one kind, converted by renaming alone. */
function versionsOfOneDefinition(add: Add): void {
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
function definitionLife(add: Add): void {
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
function definitionDeath(add: Add): void {
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

/** Server-side apply to `scale` of a built-in kind: who owns the replicas, and who takes them. */
function appliedScale(add: Add): void {
  const path = '/api/v1/namespaces/one/replicationcontrollers'
  const labels = { app: 'scaled' }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'x' }] } }
  const applied = (replicas: unknown, manager: string, force = false): Request => {
    const body = { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'r' }, spec: { replicas } }
    return apply(`${path}/r/scale`, body, manager, force)
  }
  add(
    'applied scale: a controller',
    post(path, {
      apiVersion: 'v1',
      kind: 'ReplicationController',
      metadata: { name: 'r' },
      spec: { replicas: 3, selector: labels, template },
    }),
  )
  add('applied scale: another number', applied(5, 'green'))
  add('applied scale: by force', applied(5, 'green', true))
  add('applied scale: again', applied(6, 'green'))
  add('applied scale: as another', applied(7, 'blue'))
  add('applied scale: as another by force', applied(7, 'blue', true))
  add('applied scale: the object', get(`${path}/r`))
  add('applied scale: a text', applied('x', 'blue'))
  add('applied scale: a negative number', applied(-1, 'blue'))
  add('applied scale: put a negative number', {
    method: 'PUT',
    path: `${path}/r/scale`,
    body: { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'r' }, spec: { replicas: -1 } },
  })
  add('applied scale: an update after', merge(`${path}/r/scale`, { spec: { replicas: 8 } }))
  add('applied scale: the object after', get(`${path}/r`))
  add('applied scale: strictly', {
    ...applied(8, 'blue', true),
    query: { fieldManager: 'blue', force: 'true', dryRun: 'All', fieldValidation: 'Strict' },
  })
}

/** `scale` of a custom kind. */
function scaled(add: Add): void {
  const path = '/apis/scaled.example.com/v1/namespaces/one/herds'
  const scale = (replicas: unknown, metadata: object = {}): object => ({
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name: 'h', namespace: 'one', ...metadata },
    spec: { replicas },
  })
  const put = (body: object): Request => ({ method: 'PUT', path: `${path}/h/scale`, body })
  add('scaled: its group version', get('/apis/scaled.example.com/v1'))
  add(
    'scaled: an object',
    post(path, { apiVersion: 'scaled.example.com/v1', kind: 'Herd', metadata: { name: 'h' }, spec: { replicas: 1 } }),
  )
  add('scaled: get', get(`${path}/h/scale`))
  add('scaled: put', put(scale(3)))
  add('scaled: put a negative number', put(scale(-1)))
  add('scaled: put above the maximum', put(scale(9)))
  add('scaled: put a text', put(scale('x')))
  add('scaled: put another name', put(scale(2, { name: 'other' })))
  add('scaled: put an old version', put(scale(2, { resourceVersion: '1' })))
  add('scaled: merge', merge(`${path}/h/scale`, { spec: { replicas: 4 } }))
  const applied = (replicas: unknown, manager: string, force = false): Request =>
    apply(`${path}/h/scale`, { ...scale(replicas), metadata: { name: 'h' } }, manager, force)
  // By force kube-apiserver answers 500 for custom resources: it asks their converter for a Scale.
  add('scaled: apply the same', applied(4, 'red'))
  add('scaled: apply another number', applied(5, 'green'))
  add('scaled: apply another kind', apply(`${path}/h/scale`, { apiVersion: 'v1', kind: 'Pod' }, 'red'))
  add('scaled: apply to nobody', apply(`${path}/nobody/scale`, scale(1), 'red'))
  add('scaled: applied', get(`${path}/h`))
  add('scaled: of nobody', get(`${path}/nobody/scale`))
  add('scaled: the status', merge(`${path}/h/status`, { status: { replicas: 4 }, spec: { replicas: 0 } }))
  add('scaled: after', get(`${path}/h`))
  add('scaled: after that', get(`${path}/h/scale`))
}
