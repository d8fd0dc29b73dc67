/** The same objects in protobuf: every kind, in and out, and which form is chosen for whom. */
import { KINDS } from './kinds.ts'
import { objectOf } from './object-life.ts'
import { collection, post, type Writer } from './requests.ts'
import { field, type Request } from './script.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const METADATA = 'g=meta.k8s.io;v=v1'
const CUSTOM = '/apis/wire.example.com/v1/namespaces/one/cables'

const get = (path: string, accept: string, query?: Record<string, string>): Request => ({
  method: 'GET',
  path,
  accept,
  ...(query && { query }),
})
const send = (method: 'POST' | 'PUT' | 'DELETE', path: string, body: unknown): Request => ({
  method,
  path,
  body,
  contentType: PROTOBUF,
  accept: PROTOBUF,
})

/** kube-apiserver serves a new definition a moment after it has answered: what needs it comes last. */
export function wireDefinition({ add }: Pick<Writer, 'add'>): void {
  add('wire: definition of cables', post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', CABLES))
}

export function protobufSteps({ random, add }: Writer): void {
  for (const kind of KINDS) {
    const path = collection(kind)
    const item = `${path}/p0`
    const object = objectOf(kind, 'p0', random)
    const say = (what: string): string => `${kind.kind} in protobuf: ${what}`
    // kube-apiserver's own repair of Services' addresses writes Events whenever it comes by.
    const query = kind.kind === 'Event' ? { fieldSelector: 'metadata.name=p0' } : undefined
    add(say('create'), send('POST', path, object))
    add(say('create again'), send('POST', path, object))
    add(say('get'), get(item, PROTOBUF))
    add(say('get as JSON'), get(item, 'application/json'))
    add(say('metadata'), get(item, `${PROTOBUF};as=PartialObjectMetadata;${METADATA}`))
    add(say('table'), get(item, `${PROTOBUF};as=Table;${METADATA}`))
    add(say('list'), get(path, PROTOBUF, query))
    add(say('metadata of the list'), get(path, `${PROTOBUF};as=PartialObjectMetadataList;${METADATA}`, query))
    add(
      say('update'),
      send('PUT', item, { ...object, metadata: { ...(object['metadata'] as object), labels: { a: 'b' } } }),
    )
    add(
      say('delete with a wrong precondition'),
      send('DELETE', item, deleteOptions({ preconditions: { uid: 'wrong' } })),
    )
    add(say('delete'), send('DELETE', item, deleteOptions({ gracePeriodSeconds: 0 })))
    add(say('get nothing'), get(item, PROTOBUF))
  }
  streams({ random, add })
  add(
    'wire: a cable',
    post(CUSTOM, { apiVersion: 'wire.example.com/v1', kind: 'Cable', metadata: { name: 'a' }, length: 5 }),
  )
  for (const [what, path] of [
    ['a built-in collection', '/api/v1/namespaces/one/configmaps'],
    ['a built-in object', '/api/v1/namespaces/one/configmaps/l1'],
    ['a missing object', '/api/v1/namespaces/one/configmaps/missing'],
    ['a custom collection', CUSTOM],
    ['a custom object', `${CUSTOM}/a`],
    ['a missing custom object', `${CUSTOM}/missing`],
  ] as const)
    for (const accept of ACCEPTED) add(`wire: ${what} as ${accept}`, get(path, accept))
  bodies({ random, add })
}

function deleteOptions(options: object): object {
  return { apiVersion: 'v1', kind: 'DeleteOptions', ...options }
}

function streams({ add }: Writer): void {
  const path = '/api/v1/namespaces/two/configmaps'
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'streamed', labels: { in: 'stream' } } }
  add('stream: create', post(path, object))
  add('stream: delete', { method: 'DELETE', path: `${path}/streamed` })
  for (const accept of [
    PROTOBUF,
    `${PROTOBUF};stream=watch`,
    `${PROTOBUF},application/json`,
    `${PROTOBUF};as=PartialObjectMetadata;${METADATA}`,
    `${PROTOBUF};as=Table;${METADATA},application/json`,
    'application/yaml',
    `application/yaml,${PROTOBUF}`,
    'application/json;stream=watch',
  ])
    add(`stream: as ${accept}`, (memory) =>
      get(path, accept, {
        watch: '1',
        timeoutSeconds: '1',
        labelSelector: 'in=stream',
        resourceVersion: String(Number(field(memory, 'stream: create', 'metadata.resourceVersion')) - 1),
      }),
    )
  add('stream: from a version that is no number', get(path, PROTOBUF, { watch: '1', resourceVersion: 'x' }))
  add(
    'stream: with initial events',
    get(path, PROTOBUF, {
      watch: '1',
      timeoutSeconds: '1',
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: 'true',
      labelSelector: 'in=stream',
    }),
  )
}

const ACCEPTED = [
  PROTOBUF,
  'application/yaml',
  `${PROTOBUF},application/json`,
  `application/json,${PROTOBUF}`,
  `${PROTOBUF};q=0.3,application/yaml;q=0.2`,
  `application/yaml;q=0.2,${PROTOBUF};q=0.3`,
  `*/*;q=0.9,application/yaml;q=0.1`,
  `application/*;q=0.9,application/yaml;q=0.1`,
  `text/html,${PROTOBUF};q=0.1`,
  `${PROTOBUF};stream=watch`,
  `${PROTOBUF};stream=other`,
  `${PROTOBUF};stream=other,application/json`,
  `${PROTOBUF};charset=utf-8;pretty=1`,
  `${PROTOBUF};as=Nothing;${METADATA},application/json`,
  `${PROTOBUF};as=PartialObjectMetadata;${METADATA},application/json`,
  `${PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1,application/json`,
  `${PROTOBUF};q=x`,
  'application/*',
  'text/html',
  '*',
]

/** Bodies that are no messages, or those of others. */
function bodies({ add }: Writer): void {
  const path = '/api/v1/namespaces/one/configmaps'
  const configMap = (metadata: object): object => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata })
  add('body: JSON that says it is protobuf', { ...send('POST', path, '{}') })
  add('body: nothing', send('POST', path, ''))
  add('body: nothing for an update', send('PUT', `${path}/l1`, ''))
  add('body: a magic number', send('POST', path, 'k8s\0'))
  add('body: of another kind', send('POST', path, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } }))
  add(
    'body: of another version',
    send('POST', path, { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x' } }),
  )
  add('body: of no valid object', send('POST', path, configMap({ name: 'In-Valid' })))
  add('body: strictly', { ...send('POST', path, configMap({ name: 'strict' })), query: { fieldValidation: 'Strict' } })
  add('body: as a merge patch', { ...send('PUT', `${path}/l1`, configMap({ name: 'l1' })), method: 'PATCH' })
  add('body: for a custom resource', send('POST', CUSTOM, configMap({ name: 'x' })))
  add('body: no options', send('DELETE', `${path}/missing`, ''))
  add('body: options for a custom resource', send('DELETE', `${CUSTOM}/a`, deleteOptions({ gracePeriodSeconds: 0 })))
}

const CABLES = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'cables.wire.example.com' },
  spec: {
    group: 'wire.example.com',
    names: { kind: 'Cable', plural: 'cables', singular: 'cable', listKind: 'CableList' },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', properties: { length: { type: 'integer' } } } },
      },
    ],
  },
}
