/** Lists: selectors, options, forms, pages. */
import { KINDS } from './kinds.ts'
import { collection, post, type Writer } from './requests.ts'

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

/** Every selector and option on a few objects, then every kind in every form. */
export function lists({ random, add }: Writer): void {
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
    { resourceVersion: '18446744073709551615' },
    { resourceVersion: '18446744073709551616' },
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

/** The same list in pages of several sizes. */
export function pagination({ add }: Writer): void {
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
