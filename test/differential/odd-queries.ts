/** Every verb with options in any combination, valid and not. All writes are dry runs: no answer depends on another. */
import type { Json } from './mutations.ts'
import { PATCHES, TABLE, type Writer } from './requests.ts'
import type { Random, Request } from './script.ts'

type Options = Readonly<Record<string, readonly string[]>>

const READ: Options = {
  resourceVersion: ['', '0', 'x', '-1', '1.5', ' 0'],
  resourceVersionMatch: ['', 'Exact', 'NotOlderThan', 'Bogus'],
  pretty: ['true', 'false', 'x'],
  timeoutSeconds: ['1', '0', '-1', 'x'],
}
const LIST: Options = {
  ...READ,
  limit: ['0', '1', '2', '-1', 'x', '', '9223372036854775808'],
  continue: ['', 'x', 'e30', 'eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiYSJ9'],
  sendInitialEvents: ['true', 'false', '', 'x'],
  allowWatchBookmarks: ['true', 'false', 'x'],
  watch: ['false', '0'],
  labelSelector: ['', 'a=b', '!a', 'a in (b,c)', 'a in', ',', 'a=b,a!=c'],
  fieldSelector: ['', 'metadata.name=g0', 'metadata.name!=g0', 'spec.bogus=1', 'metadata.namespace=one', 'a', ','],
}
const WRITE: Options = {
  fieldManager: ['me', '', 'a\nb', 'x'.repeat(128), 'x'.repeat(129), 'ä'],
  fieldValidation: ['Strict', 'Warn', 'Ignore', 'Bogus', ''],
  pretty: ['true', 'x'],
}
const PATCH: Options = { ...WRITE, force: ['true', 'false', '1', 'x', ''] }
const DELETE: Options = {
  gracePeriodSeconds: ['0', '1', '-1', 'x', ''],
  propagationPolicy: ['Orphan', 'Background', 'Foreground', 'Bogus', ''],
  orphanDependents: ['true', 'false', 'x', ''],
  ignoreStoreReadErrorWithClusterBreakingPotential: ['true', 'false', 'x'],
  pretty: ['true'],
}
const TABLES: Options = { includeObject: ['None', 'Metadata', 'Object', 'Bogus', ''] }
const METADATA = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io'
const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io'

/** Of objects that the script has made. */
const SUBJECTS: ReadonlyArray<readonly [path: string, apiVersion: string, kind: string]> = [
  ['/api/v1/namespaces/one/configmaps', 'v1', 'ConfigMap'],
  ['/api/v1/namespaces/one/pods', 'v1', 'Pod'],
  ['/apis/apps/v1/namespaces/one/deployments', 'apps/v1', 'Deployment'],
  // Of the kinds without a namespace one of which servers make none for themselves: those count among what remains.
  ['/apis/node.k8s.io/v1/runtimeclasses', 'node.k8s.io/v1', 'RuntimeClass'],
  [
    '/apis/extensions.agents.x-k8s.io/v1beta1/namespaces/one/sandboxtemplates',
    'extensions.agents.x-k8s.io/v1beta1',
    'SandboxTemplate',
  ],
]

const VERBS = ['list', 'get', 'create', 'patch', 'delete', 'deletecollection'] as const

export function oddQueries({ random, add }: Writer, count: number): void {
  for (let index = 0; index < count; index++) {
    const [path, apiVersion, kind] = random.pick(SUBJECTS)
    const verb = random.pick(VERBS)
    const request = requestOf(verb, path, { apiVersion, kind, metadata: { labels: { a: 'b' } } }, random)
    const { query, accept = '', contentType = '', body } = request
    const said = [JSON.stringify(query), accept, contentType, verb.startsWith('delete') ? JSON.stringify(body) : '']
    add(`options: ${verb} ${kind} ${said.filter(Boolean).join(' ')}`, request)
  }
}

function requestOf(verb: (typeof VERBS)[number], path: string, object: Json, random: Random): Request {
  const item = `${path}/g0`
  const dryRun = { dryRun: 'All' }
  switch (verb) {
    case 'list':
    case 'get': {
      const accept = random.pick(['', '', TABLE, verb === 'get' ? METADATA : METADATA_LIST, 'application/yaml'])
      const options = verb === 'get' ? READ : LIST
      const query = some(accept === TABLE ? { ...options, ...TABLES } : options, random)
      return { method: 'GET', path: verb === 'get' ? item : path, query, ...(accept && { accept }) }
    }
    case 'create': {
      const body = { ...object, metadata: { name: 'options' } }
      return { method: 'POST', path, body, query: { ...some(WRITE, random), ...dryRun } }
    }
    case 'patch': {
      const contentType = random.pick(Object.values(PATCHES))
      const isJsonPatch = contentType === PATCHES.json
      const body = isJsonPatch ? [{ op: 'add', path: '/metadata/labels', value: { a: 'b' } }] : object
      return { method: 'PATCH', path: item, body, contentType, query: { ...some(PATCH, random), ...dryRun } }
    }
    case 'delete':
      return { method: 'DELETE', path: item, ...deletion(random), query: { ...some(DELETE, random), ...dryRun } }
    case 'deletecollection':
    default: {
      // A rehearsal at a version compares each object with that version in kube-apiserver, and refuses it.
      const { resourceVersion: _version, ...options } = LIST
      const query = { ...some({ ...options, ...DELETE }, random), ...dryRun }
      return { method: 'DELETE', path, ...deletion(random), query }
    }
  }
}

/** Two of them on average. */
function some(options: Options, random: Random): Record<string, string> {
  const names = Object.keys(options)
  const chosen = names.filter(() => random.chance(2.5 / names.length))
  return Object.fromEntries(chosen.map((name) => [name, random.pick(options[name] ?? [''])]))
}

function deletion(random: Random): Pick<Request, 'body'> {
  if (random.chance(0.6)) return {}
  const parts: Json = {
    gracePeriodSeconds: random.pick([0, 1, -1, 'x', null]),
    propagationPolicy: random.pick(['Orphan', 'Background', 'Bogus', '']),
    orphanDependents: random.pick([true, false, 'x']),
    preconditions: random.pick([{}, { uid: 'x' }, { resourceVersion: '1' }, { uid: null }, 'x']),
    dryRun: random.pick([['All'], ['All', 'All'], ['Bogus', 'All'], 'All']),
    bogus: 1,
  }
  const chosen = Object.entries(parts).filter(([name]) => random.chance(name === 'bogus' ? 0.1 : 0.35))
  return { body: { apiVersion: 'v1', kind: 'DeleteOptions', dryRun: ['All'], ...Object.fromEntries(chosen) } }
}
