/** Writes the script: every verb on every kind, its mistakes, and then the scenarios that have an order. */

import { customResourceSteps } from './custom-resources.ts'
import { BREAKS, KINDS, type Kind } from './kinds.ts'
import { scenarioSteps } from './scenarios.ts'
import { field, type Random, type Request, type Step, seeded } from './script.ts'

const PATCHES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

/** The same steps for the same seed. */
export function generateScript(seed: number, rounds: number): Step[] {
  const random = seeded(seed)
  const steps: Step[] = []
  const add = (label: string, request: Step['request']): void => {
    steps.push({ label: `${steps.length} ${label}`, request })
  }
  const namespaces = ['one', 'two']
  for (const name of namespaces) {
    add(`namespace ${name}`, post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }))
    // Without the controllers nobody else makes the account that Pods run as.
    add(
      `account of ${name}`,
      post(`/api/v1/namespaces/${name}/serviceaccounts`, {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: 'default' },
      }),
    )
  }
  for (let round = 0; round < rounds; round++) {
    for (const kind of KINDS) objectLife(kind, `o${round}`, { random, add })
  }
  for (const kind of KINDS) mistakes(kind, { random, add })
  lists({ random, add })
  pagination({ random, add })
  applyConflicts({ random, add })
  deletions({ random, add })
  watches({ add, random })
  requests({ random, add })
  for (const { label, request } of customResourceSteps(random)) add(label, request)
  scenarioSteps(add)
  return steps
}

interface Writer {
  random: Random
  add(label: string, request: Step['request']): void
}

export function post(path: string, body: unknown, query?: Record<string, string>): Request {
  return { method: 'POST', path, body, ...(query && { query }) }
}

export function collection(kind: Pick<Kind, 'root' | 'plural' | 'namespaced'>, namespace = 'one'): string {
  return kind.namespaced ? `${kind.root}/namespaces/${namespace}/${kind.plural}` : `${kind.root}/${kind.plural}`
}

function objectOf(kind: Kind, name: string, random: Random): Record<string, unknown> {
  const { metadata, ...fields } = kind.make(random)
  const object = {
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    metadata: {
      ...(metadata as object),
      name,
      labels: { app: random.pick(['a', 'b']), ...(metadata as { labels?: object } | undefined)?.labels },
    },
    ...fields,
  }
  return JSON.parse(JSON.stringify(object).replaceAll('IN_NAMESPACE', 'one')) as Record<string, unknown>
}

/** Create, read in its forms, change by each kind of patch and by update, conflict, delete. */
function objectLife(kind: Kind, name: string, { random, add }: Writer): void {
  const path = collection(kind)
  const object = objectOf(kind, name, random)
  const item = `${path}/${name}`
  const say = (what: string): string => `${kind.kind} ${name}: ${what}`
  add(say('dry create'), post(path, object, { dryRun: 'All' }))
  add(say('get what a dry run did not make'), { method: 'GET', path: item })
  const created = `${kind.kind} ${name}`
  add(say('create'), post(path, object, { fieldManager: 'tester' }))
  add(say('create again'), post(path, object))
  add(say('get'), { method: 'GET', path: item })
  add(say('table'), { method: 'GET', path: item, accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' })
  add(say('metadata'), {
    method: 'GET',
    path: item,
    accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
  })
  for (const [index, change] of kind.changes.entries()) {
    const type = index % 2 === 0 ? PATCHES.merge : PATCHES.strategic
    add(say(`change ${index}, dry`), {
      method: 'PATCH',
      path: item,
      body: change,
      contentType: type,
      query: { dryRun: 'All' },
    })
    add(say(`change ${index}`), {
      method: 'PATCH',
      path: item,
      body: change,
      contentType: type,
      query: { fieldManager: random.pick(['tester', 'other']) },
    })
  }
  add(say('json patch'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.json,
    body: [{ op: 'add', path: '/metadata/annotations', value: { note: 'x' } }],
  })
  add(say('json patch that fails its test'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.json,
    body: [{ op: 'test', path: '/metadata/name', value: 'no' }],
  })
  add(say('json patch of a missing path'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.json,
    body: [{ op: 'remove', path: '/nothing/here' }],
  })
  add(say('json patch that is none'), { method: 'PATCH', path: item, contentType: PATCHES.json, body: { op: 'add' } })
  add(say('a patch that changes nothing'), { method: 'PATCH', path: item, contentType: PATCHES.merge, body: {} })
  add(say('a patch of the name'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.merge,
    body: { metadata: { name: 'renamed' } },
  })
  add(say('a patch of an unknown type'), {
    method: 'PATCH',
    path: item,
    contentType: 'application/x-nothing',
    body: {},
  })
  add(say('update'), {
    method: 'PUT',
    path: item,
    body: { ...object, metadata: { ...(object['metadata'] as object), annotations: { updated: 'yes' } } },
  })
  add(say('update with an old version'), {
    method: 'PUT',
    path: item,
    body: { ...object, metadata: { ...(object['metadata'] as object), resourceVersion: '1' } },
  })
  add(say('update with a version that is no number'), {
    method: 'PUT',
    path: item,
    body: { ...object, metadata: { ...(object['metadata'] as object), resourceVersion: 'abc' } },
  })
  add(say('update under another name'), { method: 'PUT', path: `${item}-other`, body: object })
  add(say('update with another uid'), {
    method: 'PUT',
    path: item,
    body: { ...object, metadata: { ...(object['metadata'] as object), uid: 'different' } },
  })
  add(say('apply'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.apply,
    body: { ...object, metadata: { name, labels: { applied: 'yes' } } },
    query: { fieldManager: 'applier', force: 'true' },
  })
  add(say('apply without a manager'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.apply,
    body: { apiVersion: kind.apiVersion, kind: kind.kind },
  })
  add(say('delete with a wrong precondition'), {
    method: 'DELETE',
    path: item,
    body: { preconditions: { uid: 'wrong' } },
  })
  add(say('dry delete'), { method: 'DELETE', path: item, query: { dryRun: 'All' } })
  add(say('delete'), {
    method: 'DELETE',
    path: item,
    ...(kind.kind === 'Pod' && { query: { gracePeriodSeconds: '0' } }),
  })
  add(say('delete again'), { method: 'DELETE', path: item })
  add(`${created} after`, { method: 'GET', path: item })
}

function mistakes(kind: Kind, { random, add }: Writer): void {
  const path = collection(kind)
  for (const [index, [name, change]] of BREAKS.entries()) {
    const object = change(objectOf(kind, `m${index}`, random))
    for (const fieldValidation of ['Strict', 'Warn', 'Ignore']) {
      if (fieldValidation !== 'Strict' && !/unknown/.test(name)) continue
      add(`${kind.kind}: ${name}, ${fieldValidation}`, post(path, object, { fieldValidation, dryRun: 'All' }))
    }
  }
  // Each field of the valid object in a wrong type.
  const valid = objectOf(kind, 'typed', random)
  for (const key of Object.keys(valid)) {
    if (key === 'apiVersion' || key === 'kind' || key === 'metadata') continue
    add(`${kind.kind}: ${key} is a number`, post(path, { ...valid, [key]: 7 }, { dryRun: 'All' }))
    add(
      `${kind.kind}: ${key} is missing`,
      post(path, Object.fromEntries(Object.entries(valid).filter(([name]) => name !== key)), { dryRun: 'All' }),
    )
    const below = valid[key]
    if (typeof below !== 'object' || below === null || Array.isArray(below)) continue
    for (const [inner, value] of Object.entries(below)) {
      const wrong = typeof value === 'string' ? { a: 1 } : 'text'
      add(
        `${kind.kind}: ${key}.${inner} of the wrong type`,
        post(path, { ...valid, [key]: { ...below, [inner]: wrong } }, { dryRun: 'All' }),
      )
      add(
        `${kind.kind}: ${key}.${inner} is missing`,
        post(
          path,
          { ...valid, [key]: Object.fromEntries(Object.entries(below).filter(([name]) => name !== inner)) },
          { dryRun: 'All' },
        ),
      )
      add(
        `${kind.kind}: ${key}.${inner} is null`,
        post(path, { ...valid, [key]: { ...below, [inner]: null } }, { dryRun: 'All' }),
      )
    }
    add(
      `${kind.kind}: ${key} has an unknown field`,
      post(path, { ...valid, [key]: { ...below, bogus: 1 } }, { dryRun: 'All', fieldValidation: 'Strict' }),
    )
  }
}

const SELECTORS = [
  'app=a',
  'app==a',
  'app!=a',
  'app in (a,b)',
  'app notin (a)',
  'app',
  '!app',
  'app=a,tier!=x',
  'tier in ()',
  'app=',
  'n>1',
  'n<x',
  'app in a',
  '=a',
  'app=a=b',
  '(',
  'app in (a',
  'bad key!=a',
  'a/b/c=d',
  ',',
  'app,',
  `app=${'x'.repeat(64)}`,
]
const FIELD_SELECTORS = [
  'metadata.name=l1',
  'metadata.name!=l1',
  'metadata.namespace=one',
  'metadata.name=l1,metadata.namespace=one',
  'status.phase=Pending',
  'spec.nodeName=',
  'spec.bogus=1',
  'metadata.name',
  'metadata.name=a=b',
  'type=Opaque',
  'reason=x',
  '',
]

function lists({ random, add }: Writer): void {
  const configMaps = { root: '/api/v1', plural: 'configmaps', namespaced: true }
  for (let index = 0; index < 7; index++) {
    const labels = {
      app: random.pick(['a', 'b', 'c']),
      ...(random.chance(0.5) && { n: String(index) }),
      ...(random.chance(0.3) && { tier: 'x' }),
    }
    add(
      `list material ${index}`,
      post(collection(configMaps), { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `l${index}`, labels } }),
    )
  }
  for (const labelSelector of SELECTORS) {
    add(`labels ${labelSelector}`, { method: 'GET', path: collection(configMaps), query: { labelSelector } })
    add(`labels ${labelSelector}, all namespaces`, {
      method: 'GET',
      path: '/api/v1/configmaps',
      query: { labelSelector, fieldSelector: 'metadata.namespace=one' },
    })
  }
  for (const fieldSelector of FIELD_SELECTORS) {
    for (const plural of ['configmaps', 'pods', 'secrets', 'events', 'serviceaccounts']) {
      add(`${plural} by ${fieldSelector}`, {
        method: 'GET',
        path: `/api/v1/namespaces/two/${plural}`,
        query: { fieldSelector },
      })
    }
  }
  for (const query of [
    { resourceVersion: '0' },
    { resourceVersion: 'abc' },
    { resourceVersion: '-1' },
    { resourceVersionMatch: 'Exact' },
    { resourceVersion: '0', resourceVersionMatch: 'Exact' },
    { resourceVersion: '1', resourceVersionMatch: 'Bogus' },
    { limit: '-1' },
    { limit: 'abc' },
    { limit: '2', continue: 'nonsense' },
    { timeoutSeconds: 'abc' },
    { resourceVersion: '999999999', timeoutSeconds: '1' },
    { watch: 'abc' },
    { allowWatchBookmarks: 'true' },
    { sendInitialEvents: 'true' },
  ] as Array<Record<string, string>>) {
    add(`list with ${JSON.stringify(query)}`, { method: 'GET', path: collection(configMaps), query })
  }
  for (const kind of KINDS) {
    add(`list of ${kind.plural}`, { method: 'GET', path: collection(kind, 'two') })
    add(`table of ${kind.plural}`, {
      method: 'GET',
      path: collection(kind, 'two'),
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
    })
    add(`metadata of ${kind.plural}`, {
      method: 'GET',
      path: collection(kind, 'two'),
      accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
    })
  }
}

function pagination({ add }: Writer): void {
  for (const limit of [1, 2, 3, 10]) {
    add(`page of ${limit}`, {
      method: 'GET',
      path: '/api/v1/namespaces/one/configmaps',
      query: { limit: String(limit) },
    })
    const first = limit
    let previous = ''
    for (let page = 2; page <= 4; page++) {
      const from = previous
      add(`page ${page} of ${limit}`, (memory) => ({
        method: 'GET',
        path: '/api/v1/namespaces/one/configmaps',
        query: { limit: String(first), continue: lastContinue(memory, limit, page - 1) },
      }))
      previous = from
    }
  }
}

function lastContinue(memory: { answer(label: string): unknown }, limit: number, page: number): string {
  const suffix = page === 1 ? `page of ${limit}` : `page ${page} of ${limit}`
  const found = memory.answer(suffix) as { body?: { metadata?: { continue?: string } } } | undefined
  return found?.body?.metadata?.continue ?? ''
}

/** Several managers, each with its own part: who owns what, who is refused, what goes when one lets go. */
function applyConflicts({ random, add }: Writer): void {
  const path = '/api/v1/namespaces/one/configmaps'
  for (let index = 0; index < 30; index++) {
    const name = `applied-${index % 4}`
    const manager = random.pick(['red', 'green', 'blue'])
    const data = Object.fromEntries(
      ['a', 'b', 'c', 'd'].filter(() => random.chance(0.5)).map((key) => [key, random.pick(['1', '2'])]),
    )
    const labels = random.chance(0.4) ? { [random.pick(['x', 'y'])]: random.pick(['1', '2']) } : undefined
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...(labels && { labels }) }, data }
    const query = { fieldManager: manager, ...(random.chance(0.4) && { force: 'true' }) }
    add(`apply ${name} as ${manager}`, {
      method: 'PATCH',
      path: `${path}/${name}`,
      contentType: PATCHES.apply,
      body,
      query,
    })
    if (random.chance(0.3)) {
      add(`update of ${name} between`, {
        method: 'PATCH',
        path: `${path}/${name}`,
        contentType: PATCHES.merge,
        body: { data: { [random.pick(['a', 'e'])]: 'updated' } },
        query: { fieldManager: 'editor' },
      })
    }
  }
  const pods = '/api/v1/namespaces/one/pods'
  const pod = (containers: unknown[], extra: object = {}): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'ssa' },
    spec: { containers, ...extra },
  })
  const apply = (manager: string, body: object, force = false): Request => ({
    method: 'PATCH',
    path: `${pods}/ssa`,
    contentType: PATCHES.apply,
    body,
    query: { fieldManager: manager, ...(force && { force: 'true' }) },
  })
  add(
    'apply a pod',
    apply('red', pod([{ name: 'a', image: 'x', ports: [{ containerPort: 80 }], env: [{ name: 'K', value: '1' }] }])),
  )
  add(
    'apply the same pod',
    apply('red', pod([{ name: 'a', image: 'x', ports: [{ containerPort: 80 }], env: [{ name: 'K', value: '1' }] }])),
  )
  add('apply its image as another', apply('green', pod([{ name: 'a', image: 'y' }])))
  add('apply its image as another, by force', apply('green', pod([{ name: 'a', image: 'y' }]), true))
  add(
    'apply a label as a third',
    apply('blue', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'ssa', labels: { l: '1' }, finalizers: ['example.com/stay'] },
    }),
  )
  add(
    'let the finalizer go',
    apply('blue', { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'ssa', labels: { l: '1' } } }),
  )
  add('the first lets its port go', apply('red', pod([{ name: 'a', image: 'y' }])))
  const services = '/api/v1/namespaces/one/services/ssa'
  const service = (ports: unknown[]): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'ssa' },
    spec: { clusterIP: 'None', ports },
  })
  for (const [manager, ports] of [
    ['red', [{ port: 80, name: 'a' }]],
    ['green', [{ port: 81, name: 'b' }]],
    ['red', [{ port: 82, name: 'c' }]],
    ['green', []],
  ] as Array<[string, unknown[]]>) {
    add(`apply ports as ${manager}`, {
      method: 'PATCH',
      path: services,
      contentType: PATCHES.apply,
      body: service(ports),
      query: { fieldManager: manager },
    })
  }
}

function deletions({ add }: Writer): void {
  const path = '/api/v1/namespaces/two/configmaps'
  const make = (name: string, metadata: object = {}): Request =>
    post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata } })
  const modes: Array<[string, Request]> = [
    ['background', { method: 'DELETE', path: '', body: { propagationPolicy: 'Background' } }],
    ['foreground', { method: 'DELETE', path: '', body: { propagationPolicy: 'Foreground' } }],
    ['orphan', { method: 'DELETE', path: '', query: { propagationPolicy: 'Orphan' } }],
    [
      'both orphan fields',
      { method: 'DELETE', path: '', body: { propagationPolicy: 'Orphan', orphanDependents: true } },
    ],
    ['orphanDependents', { method: 'DELETE', path: '', body: { orphanDependents: true } }],
    ['bogus', { method: 'DELETE', path: '', body: { propagationPolicy: 'Bogus' } }],
    ['wrong version', { method: 'DELETE', path: '', body: { preconditions: { resourceVersion: '1' } } }],
    ['a body that is no options', { method: 'DELETE', path: '', body: { apiVersion: 'v1', kind: 'Pod' } }],
    ['unknown options', { method: 'DELETE', path: '', body: { bogus: 1 } }],
    ['grace', { method: 'DELETE', path: '', query: { gracePeriodSeconds: '30' } }],
    ['negative grace', { method: 'DELETE', path: '', body: { gracePeriodSeconds: -1 } }],
  ]
  for (const [index, [name, request]] of modes.entries()) {
    for (const finalizers of [undefined, ['example.com/stay']]) {
      const object = `d${index}${finalizers ? 'f' : ''}`
      add(`${object} for ${name}`, make(object, finalizers && { finalizers }))
      add(`delete ${object}: ${name}`, { ...request, path: `${path}/${object}` })
      add(`get ${object} after ${name}`, { method: 'GET', path: `${path}/${object}` })
      if (finalizers) {
        add(`delete ${object} again`, { method: 'DELETE', path: `${path}/${object}` })
        add(`add a finalizer to ${object}`, {
          method: 'PATCH',
          path: `${path}/${object}`,
          contentType: PATCHES.merge,
          body: { metadata: { finalizers: ['example.com/stay', 'example.com/more'] } },
        })
        add(`take the finalizers of ${object}`, {
          method: 'PATCH',
          path: `${path}/${object}`,
          contentType: PATCHES.merge,
          body: { metadata: { finalizers: null } },
        })
        add(`get ${object} at the end`, { method: 'GET', path: `${path}/${object}` })
      }
    }
  }
  for (let index = 0; index < 4; index++)
    add(`collected ${index}`, make(`c${index}`, { labels: { set: index % 2 === 0 ? 'even' : 'odd' } }))
  add('delete a dry collection', { method: 'DELETE', path, query: { labelSelector: 'set=even', dryRun: 'All' } })
  add('delete a collection', { method: 'DELETE', path, query: { labelSelector: 'set=even' } })
  add('what a collection left', { method: 'GET', path, query: { labelSelector: 'set' } })
  const pods = '/api/v1/namespaces/two/pods'
  add(
    'a pod to delete',
    post(pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'grace' },
      spec: { nodeName: 'nowhere', containers: [{ name: 'a', image: 'x' }] },
    }),
  )
  add('delete a pod with grace', { method: 'DELETE', path: `${pods}/grace`, query: { gracePeriodSeconds: '20' } })
  add('a pod that terminates', { method: 'GET', path: `${pods}/grace` })
  add('a table of a pod that terminates', {
    method: 'GET',
    path: `${pods}/grace`,
    accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
  })
  add('delete a pod with less grace', { method: 'DELETE', path: `${pods}/grace`, query: { gracePeriodSeconds: '5' } })
  add('delete a pod at once', { method: 'DELETE', path: `${pods}/grace`, query: { gracePeriodSeconds: '0' } })
  add('a pod that is gone', { method: 'GET', path: `${pods}/grace` })
}

/** Watches of the past end by themselves after a second: the script asks for what has happened already. */
function watches({ add }: Writer): void {
  const path = '/api/v1/namespaces/two/secrets'
  const secret = (name: string, labels: object, data = {}): object => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, labels },
    stringData: data,
  })
  add('watched: start', { method: 'GET', path })
  add('watched: create a', post(path, secret('a', { app: 'x' })))
  add('watched: create b', post(path, secret('b', { app: 'y' })))
  add('watched: a leaves the selector', {
    method: 'PATCH',
    path: `${path}/a`,
    contentType: PATCHES.merge,
    body: { metadata: { labels: { app: 'y' } } },
  })
  add('watched: b enters it', {
    method: 'PATCH',
    path: `${path}/b`,
    contentType: PATCHES.merge,
    body: { metadata: { labels: { app: 'x' } } },
  })
  add('watched: nothing changes', { method: 'PATCH', path: `${path}/b`, contentType: PATCHES.merge, body: {} })
  add('watched: delete a', { method: 'DELETE', path: `${path}/a` })
  const from =
    (extra: Record<string, string>, accept?: string): Step['request'] =>
    (memory) => ({
      method: 'GET',
      path,
      query: {
        watch: '1',
        timeoutSeconds: '1',
        resourceVersion: field(memory, 'watched: start', 'metadata.resourceVersion'),
        ...extra,
      },
      ...(accept && { accept }),
    })
  add('watch all of it', from({}))
  add('watch by label', from({ labelSelector: 'app=x' }))
  add('watch by field', from({ fieldSelector: 'metadata.name=b' }))
  add('watch as table', from({}, 'application/json;as=Table;v=v1;g=meta.k8s.io'))
  add('watch as metadata', from({}, 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io'))
  add('watch from nowhere', { method: 'GET', path, query: { watch: 'true', timeoutSeconds: '1' } })
  add('watch from zero', { method: 'GET', path, query: { watch: 'true', timeoutSeconds: '1', resourceVersion: '0' } })
  add('watch with initial events', {
    method: 'GET',
    path,
    query: {
      watch: 'true',
      timeoutSeconds: '1',
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: 'true',
    },
  })
  add('watch with initial events, no match', {
    method: 'GET',
    path,
    query: { watch: 'true', timeoutSeconds: '1', sendInitialEvents: 'true' },
  })
  add('watch from a version that is no number', {
    method: 'GET',
    path,
    query: { watch: 'true', timeoutSeconds: '1', resourceVersion: 'abc' },
  })
  add('watch one object', {
    method: 'GET',
    path: '/api/v1/watch/namespaces/two/secrets/b',
    query: { timeoutSeconds: '1' },
  })
}

/** Requests that are wrong before any object is looked at. */
function requests({ add }: Writer): void {
  const path = '/api/v1/namespaces/one/configmaps'
  const odd: Array<[string, Request]> = [
    ['unknown path', { method: 'GET', path: '/nothing' }],
    ['unknown group', { method: 'GET', path: '/apis/nothing.example.com/v1/things' }],
    ['unknown version', { method: 'GET', path: '/apis/rbac.authorization.k8s.io/v9/roles' }],
    ['unknown resource', { method: 'GET', path: '/api/v1/namespaces/one/things' }],
    ['unknown subresource', { method: 'GET', path: `${path}/l1/bogus` }],
    ['post to an item', post(`${path}/l1`, {})],
    ['put to a collection', { method: 'PUT', path, body: {} }],
    ['patch of a collection', { method: 'PATCH', path, body: {}, contentType: PATCHES.merge }],
    ['broken JSON', { method: 'POST', path, body: '{"apiVersion": "v1", ' }],
    ['broken YAML', { method: 'POST', path, body: 'a: [b', contentType: 'application/yaml' }],
    [
      'YAML',
      {
        method: 'POST',
        path,
        body: 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-yaml\ndata:\n  a: "1"\n',
        contentType: 'application/yaml',
      },
    ],
    ['a content type that nobody reads', { method: 'POST', path, body: 'x', contentType: 'text/plain' }],
    ['an answer that nobody writes', { method: 'GET', path, accept: 'text/html' }],
    ['an empty body', { method: 'POST', path, body: '' }],
    [
      'duplicate fields',
      {
        method: 'POST',
        path,
        body: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice","name":"twice"}}',
        query: { fieldValidation: 'Strict' },
      },
    ],
    [
      'duplicate fields, warned',
      {
        method: 'POST',
        path,
        body: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice","name":"twice"}}',
        query: { fieldValidation: 'Warn', dryRun: 'All' },
      },
    ],
    [
      'bogus field validation',
      post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } }, { fieldValidation: 'Bogus' }),
    ],
    [
      'bogus dry run',
      post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } }, { dryRun: 'Bogus' }),
    ],
    [
      'a field manager with bad letters',
      post(
        path,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } },
        { fieldManager: 'a\nb', dryRun: 'All' },
      ),
    ],
    [
      'a field manager too long',
      post(
        path,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } },
        { fieldManager: 'x'.repeat(200), dryRun: 'All' },
      ),
    ],
    ['generateName', post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'gen-a-' } })],
    ['neither name nor generateName', post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: {} })],
    [
      'a namespace that is not there',
      post('/api/v1/namespaces/missing/configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } }),
    ],
    [
      'a body over the limit',
      post(path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { a: 'x'.repeat(3_200_000) } }),
    ],
    [
      'a ConfigMap over its own limit',
      post(
        path,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { a: 'x'.repeat(1_100_000) } },
        { dryRun: 'All' },
      ),
    ],
    [
      'prototype pollution',
      {
        method: 'POST',
        path,
        body: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"proto","annotations":{"__proto__":"x"}},"data":{"__proto__":"y"}}',
      },
    ],
    [
      'can I',
      post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { verb: 'get', resource: 'pods' } },
      }),
    ],
    [
      'can they',
      post('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user: 'nobody', resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'one' } },
      }),
    ],
    [
      'who am I',
      post('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'SelfSubjectReview',
      }),
    ],
    ['impersonated, forbidden', { method: 'GET', path, headers: { 'impersonate-user': 'nobody' } }],
    [
      'impersonated, forbidden cluster-wide',
      { method: 'GET', path: '/api/v1/nodes', headers: { 'impersonate-user': 'nobody', 'impersonate-group': 'some' } },
    ],
    ['impersonated group only', { method: 'GET', path, headers: { 'impersonate-group': 'some' } }],
    ['a token that is none', { method: 'GET', path, headers: { authorization: 'Bearer nonsense' } }],
    ['no credentials', { method: 'GET', path, headers: { authorization: '' } }],
    ['the version', { method: 'GET', path: '/healthz' }],
    ['ready', { method: 'GET', path: '/readyz' }],
    [
      'a token request',
      post('/api/v1/namespaces/one/serviceaccounts/default/token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 600 },
      }),
    ],
    [
      'a token request too short',
      post('/api/v1/namespaces/one/serviceaccounts/default/token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 1 },
      }),
    ],
    [
      'a token request for nobody',
      post('/api/v1/namespaces/one/serviceaccounts/nobody/token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {},
      }),
    ],
    [
      'a privileged pod',
      post('/api/v1/namespaces/one/pods', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'class' },
        spec: { runtimeClassName: 'missing', containers: [{ name: 'a', image: 'x' }] },
      }),
    ],
    [
      'a priority that is not there',
      post('/api/v1/namespaces/one/pods', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'prio' },
        spec: { priorityClassName: 'missing', containers: [{ name: 'a', image: 'x' }] },
      }),
    ],
    [
      'an account that is not there',
      post('/api/v1/namespaces/one/pods', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'acc' },
        spec: { serviceAccountName: 'missing', containers: [{ name: 'a', image: 'x' }] },
      }),
    ],
    ['deleting a namespace that stays', { method: 'DELETE', path: '/api/v1/namespaces/default' }],
  ]
  for (const [label, request] of odd) add(label, request)
}
