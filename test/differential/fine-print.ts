/** Single answers that the scripts over kinds and verbs do not come by. */
import { patchSteps } from './patch-scenarios.ts'
import { placementSteps } from './placement-scenarios.ts'
import { type Add, CRDS, PATCHES, post, TABLE } from './requests.ts'
import type { Request } from './script.ts'

const PODS = '/api/v1/namespaces/one/pods'

const dry = (path: string, body: unknown): Request => post(path, body, { dryRun: 'All' })
const patch = (path: string, body: unknown, contentType: string): Request => ({
  method: 'PATCH',
  path,
  body,
  contentType,
})

/** The definitions that `finePrint` needs, for kube-apiserver serves them a moment later. */
export function finePrintDefinitions(add: Add): void {
  add('fine print: definition of counters', post(CRDS, counters([])))
}

function counters(rules: object[]): object {
  const rule = rules.length > 0 ? { 'x-kubernetes-validations': rules } : {}
  const properties = {
    count: { type: 'integer' },
    ratio: { type: 'number' },
    opt: { type: 'string', maxLength: 10, ...rule },
    other: { type: 'string' },
  }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'counters.fine.example.com' },
    spec: {
      group: 'fine.example.com',
      scope: 'Namespaced',
      names: { plural: 'counters', kind: 'Counter' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties } } },
          },
        },
      ],
    },
  }
}

export function finePrint(add: Add): void {
  const print: Add = (label, request) => add(`fine print: ${label}`, request)
  customResources(print)
  patches(print)
  duplicates(print)
  validation(print)
  patchSteps(print)
  placementSteps(print)
  bindings(print)
  print('a Pod without a namespace', post('/api/v1/pods', pod({})))
  print('a ConfigMap without a namespace', post('/api/v1/configmaps', { metadata: { name: 'x' } }))
  print(
    'a ControllerRevision',
    post('/apis/apps/v1/namespaces/one/controllerrevisions', {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: { name: 'r' },
      data: { a: 1 },
      revision: 3,
    }),
  )
  print('the table of ControllerRevisions', {
    method: 'GET',
    path: '/apis/apps/v1/namespaces/one/controllerrevisions',
    accept: TABLE,
  })
}

function customResources(add: Add): void {
  const path = '/apis/fine.example.com/v1/namespaces/one/counters'
  const text = (count: string): string =>
    `{"apiVersion":"fine.example.com/v1","kind":"Counter","metadata":{"name":"c"},"spec":{"count":${count}}}`
  for (const count of [
    '1.0',
    '1e0',
    '1e2',
    '-0',
    '-0.0',
    '1.5',
    '9223372036854775807',
    '9223372036854775808',
    '1E1',
    '10e-1',
  ])
    add(`an integer that is written ${count}`, { ...post(path, text(count)), query: { dryRun: 'All' } })
  add('a number that is written 1.0', {
    ...post(path, text('1').replace('count', 'ratio').replace(':1}', ':1.0}')),
    query: { dryRun: 'All' },
  })
  add('a merge patch of it', post(path, text('1')))
  add('an integer that is merged as 1.0', { ...patch(`${path}/c`, '{"spec":{"count":2.0}}', PATCHES.merge) })
  add('an integer that is patched to 1.0', {
    ...patch(`${path}/c`, '[{"op":"replace","path":"/spec/count","value":3.0}]', PATCHES.json),
  })
  add('an integer that is applied as 1.0', {
    ...patch(`${path}/c`, text('4.0'), PATCHES.apply),
    query: { fieldManager: 'red', force: 'true' },
  })
  const make = (opt: string): object => ({
    apiVersion: 'fine.example.com/v1',
    kind: 'Counter',
    metadata: { name: 'bad' },
    spec: { opt },
  })
  add('an object before there is a rule', post(path, make('bad')))
  const rule = { rule: "self == 'good'", message: 'new rule' }
  add(
    'a rule',
    patch(`${CRDS}/counters.fine.example.com`, { spec: (counters([rule]) as { spec: object }).spec }, PATCHES.merge),
  )
  add('an object against the rule', {
    ...post(path, make('worse'), { dryRun: 'All' }),
    until: (body) => (body as { code?: number }).code === 422,
  })
  add('a change elsewhere', patch(`${path}/bad`, { spec: { other: 'x' } }, PATCHES.merge))
  add('a change of nothing', patch(`${path}/bad`, { spec: { other: 'x' } }, PATCHES.merge))
  add('a change of labels', patch(`${path}/bad`, { metadata: { labels: { a: 'b' } } }, PATCHES.merge))
  add('a change of what is wrong', patch(`${path}/bad`, { spec: { opt: 'worst' } }, PATCHES.merge))
}

function pod(spec: object, metadata: object = {}): object {
  const containers = [{ name: 'a', image: 'x' }]
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'fine', ...metadata }, spec: { containers, ...spec } }
}

function patches(add: Add): void {
  add(
    'a Pod to patch',
    post(
      PODS,
      pod({
        containers: [
          { name: 'a', image: 'x' },
          { name: 'b', image: 'x' },
        ],
      }),
    ),
  )
  const strategic = (label: string, body: unknown): void =>
    add(`strategic: ${label}`, { ...patch(`${PODS}/fine`, body, PATCHES.strategic), query: { dryRun: 'All' } })
  strategic('an order without what is patched', {
    spec: { '$setElementOrder/containers': [{ name: 'b' }], containers: [{ name: 'a', image: 'y' }] },
  })
  strategic('an order with more than what is patched', {
    spec: {
      '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }, { name: 'c' }],
      containers: [{ name: 'a', image: 'y' }],
    },
  })
  strategic('an order the other way round', {
    spec: {
      '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }],
      containers: [
        { name: 'a', image: 'y' },
        { name: 'b', image: 'y' },
      ],
    },
  })
  strategic('an order alone', { spec: { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] } })
  strategic('an order of what is not there', { spec: { '$setElementOrder/containers': [{ name: 'z' }] } })
  strategic('an order without keys', {
    spec: { '$setElementOrder/containers': [{ image: 'b' }], containers: [{ name: 'a', image: 'y' }] },
  })
  strategic('finalizers in another order', {
    metadata: { '$setElementOrder/finalizers': ['b.example.com/x'], finalizers: ['a.example.com/x'] },
  })
  strategic('a text', '"x"')
  strategic('a list', '[]')
  strategic('a number', '1')
  strategic('null', 'null')
  strategic('nothing', '')
  strategic('broken JSON', '{')
  strategic('a directive that is none', { spec: { $patch: 'bogus' } })
  strategic('an element without its key', { spec: { containers: [{ image: 'y' }] } })
  for (const type of ['merge', 'json'] as const)
    for (const body of ['"x"', '[]', '1', 'null', '{', '{}', ''])
      add(`${type} patch ${body || 'of nothing'}`, patch(`${PODS}/fine`, body, PATCHES[type]))
  for (const operation of [
    { op: 'add', value: 1 },
    { op: 'remove' },
    { path: '/spec/hostname', value: 'x' },
    { op: 'bogus', path: '/spec' },
    { op: 'copy', path: '/metadata/labels' },
    { op: 7, path: '/spec' },
    null,
    'x',
  ])
    add(`JSON patch ${JSON.stringify(operation)}`, patch(`${PODS}/fine`, [operation], PATCHES.json))
}

function duplicates(add: Add): void {
  const twice = [
    { name: 'A', value: '1' },
    { name: 'A', value: '2' },
    { name: 'B', value: '3' },
  ]
  const ports = [{ containerPort: 1 }, { containerPort: 1, protocol: 'UDP' }, { containerPort: 1, name: 'again' }]
  add(
    'keys twice',
    post(PODS, {
      ...pod(
        {
          containers: [{ name: 'a', image: 'x', env: twice, ports }],
          imagePullSecrets: [{ name: 's' }, { name: 's' }, {}, { name: 't' }],
        },
        { name: 'twice' },
      ),
    }),
  )
  add('keys twice, changed', patch(`${PODS}/twice`, { metadata: { labels: { a: 'b' } } }, PATCHES.merge))
}

function validation(add: Add): void {
  const bad = (label: string, spec: object, metadata: object = {}, at = PODS): void =>
    add(label, dry(at, pod(spec, { name: 'bad', ...metadata })))
  bad('windows with a user', {
    os: { name: 'windows' },
    hostPID: true,
    securityContext: {
      runAsUser: 1,
      fsGroup: 2,
      seLinuxOptions: { level: 'x' },
      sysctls: [{ name: 'a.b', value: '1' }],
    },
    containers: [
      {
        name: 'a',
        image: 'x',
        securityContext: { runAsUser: 1, privileged: true, capabilities: { add: ['X'] }, procMount: 'Default' },
      },
    ],
  })
  bad('windows with host processes', {
    os: { name: 'windows' },
    hostNetwork: true,
    securityContext: { windowsOptions: { hostProcess: true, runAsUserName: 'x' } },
  })
  bad('linux with windows', { os: { name: 'linux' }, securityContext: { windowsOptions: { runAsUserName: 'x' } } })
  bad('another system', { os: { name: 'plan9' } })
  bad('a claim without a source', { resourceClaims: [{ name: 'c' }] })
  bad('a claim of two sources', {
    resourceClaims: [{ name: 'c', resourceClaimName: 'x', resourceClaimTemplateName: 'y' }],
  })
  bad('a claim twice', {
    resourceClaims: [
      { name: 'C', resourceClaimName: 'x' },
      { name: 'C', resourceClaimName: 'Y_' },
    ],
  })
  bad('a claim that nobody has', {
    resourceClaims: [{ name: 'c', resourceClaimName: 'x' }],
    containers: [{ name: 'a', image: 'x', resources: { claims: [{ name: 'd' }, { name: 'c' }, { name: 'c' }] } }],
  })
  add(
    'a guarded namespace',
    post('/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'guarded', labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } },
    }),
  )
  add('its account', post('/api/v1/namespaces/guarded/serviceaccounts', { metadata: { name: 'default' } }))
  const guarded = '/api/v1/namespaces/guarded/pods'
  bad('a seccomp annotation', {}, { annotations: { 'seccomp.security.alpha.kubernetes.io/pod': 'bogus' } }, guarded)
  bad(
    'a seccomp annotation of a container',
    {},
    { annotations: { 'container.seccomp.security.alpha.kubernetes.io/a': 'bogus' } },
    guarded,
  )
  bad(
    'an AppArmor annotation',
    {},
    { annotations: { 'container.apparmor.security.beta.kubernetes.io/a': 'bogus' } },
    guarded,
  )
  bad(
    'a seccomp annotation that is one',
    {},
    { annotations: { 'seccomp.security.alpha.kubernetes.io/pod': 'runtime/default' } },
  )
  bad('secrets without and with names', { imagePullSecrets: [{}, { name: 'a' }, { name: 'a' }, {}] })
  const storage = (allowedTopologies: unknown): Request =>
    dry('/apis/storage.k8s.io/v1/storageclasses', {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: 'topologies' },
      provisioner: 'example.com/none',
      allowedTopologies,
    })
  add('topologies without expressions', storage([{}]))
  add('topologies without values', storage([{ matchLabelExpressions: [{ key: 'k', values: [] }] }]))
  add(
    'topologies of bad keys',
    storage([
      {
        matchLabelExpressions: [
          { key: 'a b', values: ['x', 'x'] },
          { key: '', values: ['y'] },
        ],
      },
    ]),
  )
  add(
    'topologies of a key twice',
    storage([
      {
        matchLabelExpressions: [
          { key: 'k', values: ['x'] },
          { key: 'k', values: ['y'] },
        ],
      },
    ]),
  )
  add(
    'topologies twice',
    storage([
      { matchLabelExpressions: [{ key: 'k', values: ['x'] }] },
      { matchLabelExpressions: [{ key: 'k', values: ['x'] }] },
    ]),
  )
  const service = (label: string, spec: object): void =>
    add(
      `Service with ${label}`,
      dry('/api/v1/namespaces/one/services', {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'bad' },
        spec: { ports: [{ port: 80 }], ...spec },
      }),
    )
  service('families that are none', { ipFamilies: ['IPv4', 'Bogus'] })
  service('a family twice', { ipFamilies: ['IPv4', 'IPv4'] })
  service('three families', { ipFamilies: ['IPv4', 'IPv6', 'IPv4'] })
  service('two families', { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'SingleStack' })
  service('a policy that is none', { ipFamilyPolicy: 'Bogus', ipFamilies: ['Bogus'] })
  service('the other family', { ipFamilies: ['IPv6'] })
  service('a node port outside of the range', { type: 'NodePort', ports: [{ port: 80, nodePort: 5 }] })
  const definition = counters([]) as { metadata: object; spec: { versions: Array<{ schema: object }> } }
  const preserving = (label: string, spec: object, properties: object): void =>
    add(
      `definition ${label}`,
      dry(CRDS, {
        ...definition,
        metadata: { name: 'others.fine.example.com' },
        spec: {
          ...definition.spec,
          names: { plural: 'others', kind: 'Other' },
          versions: definition.spec.versions.map((version) => ({
            ...version,
            schema: { openAPIV3Schema: { type: 'object', properties } },
          })),
          ...spec,
        },
      }),
    )
  preserving('that preserves', { preserveUnknownFields: true }, { spec: { type: 'object' } })
  preserving(
    'that preserves, with a default',
    { preserveUnknownFields: true },
    { spec: { type: 'string', default: 'x' } },
  )
  preserving(
    'that converts and preserves',
    { preserveUnknownFields: true, conversion: { strategy: 'Webhook' } },
    { spec: { type: 'object' } },
  )
}

function bindings(add: Add): void {
  const path = '/api/v1/namespaces/one/bindings'
  const binding = (name: string, target: object): object => ({
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name },
    target,
  })
  add('a Pod to bind', post(PODS, pod({}, { name: 'bound' })))
  add('a binding of nobody', post(path, binding('nobody', { kind: 'Node', name: 'n' })))
  add('a binding to nowhere', post(path, binding('bound', {})))
  add('a binding to a Service', post(path, binding('bound', { kind: 'Service', name: 'n' })))
  add(
    'a binding without a name',
    post(path, { apiVersion: 'v1', kind: 'Binding', target: { kind: 'Node', name: 'n' } }),
  )
  add(
    'a binding of another namespace',
    post(path, { ...binding('bound', { name: 'n' }), metadata: { name: 'bound', namespace: 'two' } }),
  )
  add('a binding of a wrong type', post(path, { ...binding('bound', { name: 'n' }), target: 'x' }))
  add('a binding of another kind', post(path, { ...binding('bound', { name: 'n' }), kind: 'Pod' }))
  add(
    'a binding with more',
    post(path, { ...binding('bound', { name: 'n' }), bogus: 1 }, { fieldValidation: 'Strict', dryRun: 'All' }),
  )
  add('a binding, dry', dry(path, binding('bound', { kind: 'Node', name: 'n' })))
  add('a binding', post(path, binding('bound', { kind: 'Node', name: 'n' })))
  add('the bound Pod', { method: 'GET', path: `${PODS}/bound` })
  add('a binding again', post(path, binding('bound', { kind: 'Node', name: 'm' })))
  add('bindings without a namespace', post('/api/v1/bindings', binding('bound', { name: 'n' })))
  add('a list of bindings', { method: 'GET', path })
  add('a list of all bindings', { method: 'GET', path: '/api/v1/bindings' })
  add('one binding', { method: 'GET', path: `${path}/bound` })
}
