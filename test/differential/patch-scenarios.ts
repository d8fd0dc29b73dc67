/** Patches that Go's types and structured-merge-diff make something else of than their JSON says. */
import { type Add, PATCHES, post } from './requests.ts'
import type { Request } from './script.ts'

const CORE = '/api/v1/namespaces/one'
const APPS = '/apis/apps/v1/namespaces/one'

/** A dry run, so that no step needs another one's. */
const patch = (path: string, body: unknown, type: keyof typeof PATCHES): Request => ({
  method: 'PATCH',
  path,
  body,
  contentType: PATCHES[type],
  query: { dryRun: 'All', fieldValidation: 'Warn', ...(type === 'apply' && { fieldManager: 'red', force: 'true' }) },
})

export function patchSteps(add: Add): void {
  owners(add)
  emptyParts(add)
  strategies(add)
  missing(add)
}

function owners(add: Add): void {
  const path = '/api/v1/namespaces/held'
  const metadata = { name: 'held', finalizers: ['example.com/a'] }
  add('a namespace with a finalizer', post('/api/v1/namespaces', { metadata }))
  for (const type of ['merge', 'strategic'] as const)
    add(`owners that are none, ${type}`, patch(path, { metadata: { managedFields: [] } }, type))
  add('an owner who is nobody', patch(path, { metadata: { managedFields: [{}] } }, 'merge'))
  add('owners that are none, of its status', patch(`${path}/status`, { metadata: { managedFields: [] } }, 'merge'))
  add('a finalizer that is a number', patch(path, { metadata: { finalizers: [7] } }, 'strategic'))
}

function emptyParts(add: Add): void {
  const policies = '/apis/networking.k8s.io/v1/namespaces/one/networkpolicies'
  add('a policy', post(policies, { metadata: { name: 'all' }, spec: { podSelector: {} } }))
  add('a map without entries', patch(`${policies}/all`, { spec: { podSelector: { matchLabels: {} } } }, 'merge'))
  const nodes = '/apis/storage.k8s.io/v1/csinodes'
  add('a list without elements', post(nodes, { metadata: { name: 'none' }, spec: { drivers: [] } }, { dryRun: 'All' }))
}

function strategies(add: Add): void {
  const budgets = '/apis/policy/v1/namespaces/one/poddisruptionbudgets'
  const selector = { matchLabels: { a: 'b', c: 'd' } }
  add('a budget', post(budgets, { metadata: { name: 'all' }, spec: { minAvailable: 1, selector } }))
  add(
    'a selector with a null, which replaces the other',
    patch(`${budgets}/all`, { spec: { selector: { matchLabels: { a: null } } } }, 'strategic'),
  )
  add('an account', post(`${CORE}/serviceaccounts`, { metadata: { name: 'plain' } }))
  add(
    'secrets without names, where there are none',
    patch(`${CORE}/serviceaccounts/plain`, { secrets: [{ uid: '$(A)' }] }, 'strategic'),
  )
  add('a revision', post(`${APPS}/controllerrevisions`, { metadata: { name: 'raw' }, data: { a: 1 }, revision: 1 }))
  const revision = { apiVersion: 'apps/v1', kind: 'ControllerRevision', metadata: { name: 'raw' }, revision: 1 }
  for (const data of [7, 'a', [1], { a: 1 }])
    add(
      `raw data that is ${JSON.stringify(data)}`,
      patch(`${APPS}/controllerrevisions/raw`, { ...revision, data }, 'apply'),
    )
  add('a version that is taken away', patch(`${APPS}/controllerrevisions/raw`, { apiVersion: null }, 'merge'))
  const slices = '/apis/discovery.k8s.io/v1/namespaces/one/endpointslices'
  const slice = { metadata: { name: 'odd' }, addressType: 'IPv4', endpoints: [] }
  for (const protocol of ['', 'Bogus'])
    add(
      `a port of the protocol ${JSON.stringify(protocol)}`,
      post(slices, { ...slice, ports: [{ port: 1, protocol }] }, { dryRun: 'All' }),
    )
  const container = { name: 'a', image: 'x' }
  for (const lifecycle of [{ stopSignal: 'SIGTERM' }, {}])
    add(
      `a first container whose lifecycle is ${JSON.stringify(lifecycle)}`,
      post(
        `${CORE}/pods`,
        {
          metadata: { name: 'odd' },
          spec: { containers: [container], initContainers: [{ ...container, name: 'b', lifecycle }] },
        },
        { dryRun: 'All' },
      ),
    )
  add(
    'a controller',
    post(`${CORE}/replicationcontrollers`, {
      metadata: { name: 'odd' },
      spec: {
        selector: { a: 'b' },
        replicas: 0,
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [container] } },
      },
    }),
  )
  add('a controller of another uid', patch(`${CORE}/replicationcontrollers/odd`, { metadata: { uid: 'x' } }, 'merge'))
}

/** Of what is not there nothing else is said, whatever the patch is. */
function missing(add: Add): void {
  for (const body of ['{', '{}', '7', '[7]', ''])
    for (const type of ['json', 'merge', 'strategic'] as const)
      add(`what is not there, ${type} with ${JSON.stringify(body)}`, patch(`${CORE}/configmaps/nowhere`, body, type))
}
