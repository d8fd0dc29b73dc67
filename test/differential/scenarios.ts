/** Scenarios that have an order, in namespaces of their own: what the life of single objects leaves out. */
import { HERD_DEFINITION } from '../../packages/apiserver/src/testing/herd-definition.ts'
import { addresses, changedServices, ports } from './address-scenarios.ts'
import { admission } from './admission.ts'
import { DOUBLES, definitionDeath, definitionLife, versionsOfOneDefinition, WIDGETS } from './definition-scenarios.ts'
import { podLevelResources } from './pod-level-scenarios.ts'
import { quotas } from './quotas.ts'
import { type Add, apply, CRDS, get, merge, PATCHES, post, TABLE } from './requests.ts'
import { resizedPods } from './resize-scenarios.ts'
import { appliedScale, scaled } from './scale-scenarios.ts'
import { field, type Request, type Step } from './script.ts'

export function scenarioSteps(add: Add): void {
  add('life: objects before there is a definition', get('/apis/life.example.com/v1/namespaces/one/widgets'))
  // kube-apiserver serves a new definition a moment after it has answered: what needs them comes at the end.
  add('versions: definition of doubles', post(CRDS, DOUBLES))
  add('life: definition of widgets', post(CRDS, WIDGETS))
  add('scaled: definition of herds', post(CRDS, HERD_DEFINITION))
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
  resizedPods(add)
  podLevelResources(add)
  addresses(add)
  changedServices(add)
  fringes(add)
  ports(add)
}

/** What is empty where it may not be, and paths with a slash too many. */
function fringes(add: Add): void {
  const autoscalers = '/apis/autoscaling/v2/namespaces/one/horizontalpodautoscalers'
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'a' }
  for (const rules of [{ policies: [] }, { policies: null }, {}, { selectPolicy: 'Min', policies: [] }]) {
    const spec = { scaleTargetRef, maxReplicas: 3, behavior: { scaleUp: rules, scaleDown: rules } }
    const body = { metadata: { name: 'fringe' }, spec }
    add(`fringes: autoscaler with ${JSON.stringify(rules)}`, post(autoscalers, body, { dryRun: 'All' }))
  }
  for (const path of ['/version/', '/api/', '/apis/', '/apis/apps/', '/apis/apps/v1/', '/healthz/', '/livez/'])
    add(`fringes: ${path}`, {
      ...get(path),
      select: (body) => (typeof body === 'string' ? body : Object.keys(body as object)),
    })
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
  for (const [what, fields] of Object.entries<object>({
    'an amount that is none': { containers: [{ name: 'a', resources: { limits: { cpu: 'much' } } }] },
    'an amount of an unknown unit': { containers: [{ name: 'a', resources: { limits: { cpu: '1Q' } } }] },
    'an amount that is true': { containers: [{ name: 'a', resources: { limits: { cpu: true } } }] },
    'amounts that are a list': { containers: [{ name: 'a', resources: { limits: ['1'] } }] },
    'labels that are a list': { nodeSelector: ['a'] },
    'an amount that is a list': { containers: [{ name: 'a', resources: { limits: { cpu: ['1'] } } }] },
    'a size that is none': { volumes: [{ name: 'v', emptyDir: { sizeLimit: 'big' } }] },
  }))
    add(`strategic: ${what}`, {
      method: 'PATCH',
      path: `${pods}/st`,
      contentType: PATCHES.strategic,
      body: { spec: fields },
    })
  add('strategic: a time that is none', {
    method: 'PATCH',
    path: `${pods}/st/status`,
    contentType: PATCHES.strategic,
    body: { status: { startTime: 'soon' } },
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
  add(
    'resumed: from a future beyond 2^53',
    get(path, { watch: '1', timeoutSeconds: '1', resourceVersion: '9007199254740993' }),
  )
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
