import { PATCHES, post, TABLE, type Writer } from './requests.ts'
import type { Request } from './script.ts'

/** Every mode of deletion, with and without finalizers, of one object and of many. */
export function deletions({ add }: Writer): void {
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
    accept: TABLE,
  })
  add('delete a pod with less grace', { method: 'DELETE', path: `${pods}/grace`, query: { gracePeriodSeconds: '5' } })
  add('delete a pod at once', { method: 'DELETE', path: `${pods}/grace`, query: { gracePeriodSeconds: '0' } })
  add('a pod that is gone', { method: 'GET', path: `${pods}/grace` })
}
