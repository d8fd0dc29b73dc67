import { PATCHES, post, TABLE, type Writer } from './requests.ts'
import { field, type Step } from './script.ts'

/** Watches of the past end by themselves after a second: the script asks for what has happened already. */
export function watches({ add }: Writer): void {
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
  add('watch as table', from({}, TABLE))
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
