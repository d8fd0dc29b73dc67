/** The subresource `scale`, of built-in kinds and of custom ones. */
import { type Add, apply, get, merge, post, TABLE } from './requests.ts'
import type { Request } from './script.ts'

/** Server-side apply to `scale` of a built-in kind: who owns the replicas, and who takes them. */
export function appliedScale(add: Add): void {
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
  add('applied scale: as a table', { ...get(`${path}/r/scale`), accept: TABLE })
  add('applied scale: an update as a table', { ...merge(`${path}/r/scale`, { spec: { replicas: 7 } }), accept: TABLE })
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
export function scaled(add: Add): void {
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
  add('scaled: as a table', { ...get(`${path}/h/scale`), accept: TABLE })
  add('scaled: of nobody', get(`${path}/nobody/scale`))
  add('scaled: the status', merge(`${path}/h/status`, { status: { replicas: 4 }, spec: { replicas: 0 } }))
  const yaml = 'application/yaml'
  const metadataAlone = TABLE.replace('Table', 'PartialObjectMetadata')
  for (const [form, accept] of Object.entries({ TABLE, both: `${TABLE},application/json`, metadataAlone, yaml })) {
    add(`scaled: the status as ${form}`, { ...get(`${path}/h/status`), accept })
    add(`scaled: a merged status as ${form}`, { ...merge(`${path}/h/status`, { status: { replicas: 4 } }), accept })
    add(`scaled: the status of nobody as ${form}`, { ...get(`${path}/nobody/status`), accept })
  }
  add('scaled: after', get(`${path}/h`))
  add('scaled: after that', get(`${path}/h/scale`))
}
