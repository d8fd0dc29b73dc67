import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type RunningServer, startServer } from '../testing/running-server.ts'
import { builtinResources } from './builtin/index.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const V1 = '/apis/example.com/v1/namespaces/a/widgets'
const V2 = '/apis/example.com/v2/namespaces/a/widgets'

let server: RunningServer

beforeEach(async () => {
  server = await startServer({ resources: builtinResources() })
  await send('POST', '/api/v1/namespaces', { metadata: { name: 'a' } })
})

afterEach(() => server[Symbol.asyncDispose]())

async function send(method: string, path: string, body?: unknown, type = 'application/json') {
  const answer = await server.request(method, path, {
    ...(body !== undefined && { body }),
    headers: { 'content-type': type },
  })
  return answer
}

/** Its objects have to go first, which takes a few turns. */
function definitionGone(): Promise<void> {
  const { store } = server
  return new Promise((resolve) => {
    store.subscribe('customresourcedefinitions.apiextensions.k8s.io', store.revision, ({ type }) => {
      if (type === 'DELETED') resolve()
    })
  })
}

/** The API server deletes the objects after it has answered about the definition. */
function objectMarked(): Promise<void> {
  const { store } = server
  return new Promise((resolve) => {
    store.subscribe('widgets.example.com', store.revision, ({ object }) => {
      if (object.metadata.deletionTimestamp !== undefined) resolve()
    })
  })
}

function version(name: string, storage: boolean, properties: object) {
  return {
    name,
    served: true,
    storage,
    subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' } },
    schema: {
      openAPIV3Schema: {
        type: 'object',
        properties: {
          spec: { type: 'object', properties: { replicas: { type: 'integer' }, ...properties } },
          status: { type: 'object', properties: { replicas: { type: 'integer' } } },
        },
      },
    },
  }
}

const definition = (versions: object[]) => ({
  metadata: { name: 'widgets.example.com' },
  spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'widgets', kind: 'Widget' }, versions },
})

const widget = (apiVersion: string, spec: object, metadata: object = {}) => ({
  apiVersion: `example.com/${apiVersion}`,
  kind: 'Widget',
  metadata: { name: 'one', ...metadata },
  spec,
})

describe('a definition', () => {
  test('is served at once, in all its versions, and no longer than it exists', async () => {
    expect((await send('GET', V1)).status).toBe(404)
    await send('POST', DEFINITIONS, definition([version('v1', true, {}), version('v2', false, {})]))
    expect((await send('POST', V1, widget('v1', { replicas: 2 }))).status).toBe(201)
    const seen = await send('GET', `${V2}/one`)
    expect([seen.body.apiVersion, seen.body.spec]).toEqual(['example.com/v2', { replicas: 2 }])
    await send('PATCH', `${V2}/one`, { spec: { replicas: 3 } }, 'application/merge-patch+json')
    expect((await send('GET', `${V1}/one`)).body).toMatchObject({ apiVersion: 'example.com/v1', spec: { replicas: 3 } })
    // Stored in one version, whatever it was written in.
    expect(server.store.get('widgets.example.com', 'a', 'one')?.apiVersion).toBe('example.com/v1')
    const gone = definitionGone()
    await send('DELETE', `${DEFINITIONS}/widgets.example.com`)
    await gone
    expect((await send('GET', V1)).status).toBe(404)
    expect([...server.store.list('widgets.example.com')]).toEqual([])
  })

  test('that gains a default shows it on what was stored before, and writes it with the next write', async () => {
    await send('POST', DEFINITIONS, definition([version('v1', true, {})]))
    await send('POST', V1, widget('v1', { replicas: 2 }))
    const current = (await send('GET', `${DEFINITIONS}/widgets.example.com`)).body
    const changed = definition([version('v1', true, { colour: { type: 'string', default: 'red' } })])
    await send('PUT', `${DEFINITIONS}/widgets.example.com`, {
      ...changed,
      metadata: { ...changed.metadata, resourceVersion: current.metadata.resourceVersion },
    })
    expect((await send('GET', `${V1}/one`)).body.spec).toEqual({ replicas: 2, colour: 'red' })
    expect((await send('GET', V1)).body.items[0].spec).toEqual({ replicas: 2, colour: 'red' })
    expect(server.store.get('widgets.example.com', 'a', 'one')?.spec).toEqual({ replicas: 2 })
    await send('PATCH', `${V1}/one`, { metadata: { labels: { a: 'b' } } }, 'application/merge-patch+json')
    expect(server.store.get('widgets.example.com', 'a', 'one')?.spec).toEqual({ replicas: 2, colour: 'red' })
  })

  test('that is being deleted waits for its objects, and lets nobody make more', async () => {
    await send('POST', DEFINITIONS, definition([version('v1', true, {})]))
    await send('POST', V1, widget('v1', {}, { finalizers: ['example.com/hold'] }))
    const marked = objectMarked()
    await send('DELETE', `${DEFINITIONS}/widgets.example.com`)
    await marked
    const held = (await send('GET', `${V1}/one`)).body
    expect(held.metadata.deletionTimestamp).toEqual(expect.any(String))
    const refused = await send('POST', V1, widget('v1', {}, { name: 'two' }))
    expect([refused.status, refused.body.message]).toEqual([
      403,
      'widgets.example.com "two" is forbidden: create not allowed while custom resource definition is terminating',
    ])
    const applied = { ...widget('v1', {}, { name: 'three' }) }
    const byApply = `${V1}/three?fieldManager=a`
    expect((await send('PATCH', byApply, applied, 'application/apply-patch+yaml')).status).toBe(403)
    const gone = definitionGone()
    await send('PATCH', `${V1}/one`, { metadata: { finalizers: null } }, 'application/merge-patch+json')
    await gone
    expect((await send('GET', `${DEFINITIONS}/widgets.example.com`)).status).toBe(404)
  })

  test('is still served after a restart', async () => {
    await send('POST', DEFINITIONS, definition([version('v1', true, {})]))
    await send('POST', V1, widget('v1', { replicas: 1 }))
    await using again = await startServer({ resources: builtinResources(), store: server.store })
    expect((await again.request('GET', `${V1}/one`)).body.spec).toEqual({ replicas: 1 })
  })
})

describe('a definition with the names of a built-in kind', () => {
  const LEASES = '/apis/coordination.k8s.io'
  const NAME = 'leases.coordination.k8s.io'
  const names = { plural: 'leases', singular: 'lease', kind: 'Lease', listKind: 'LeaseList' }
  const taken = {
    metadata: { name: NAME, annotations: { 'api-approved.kubernetes.io': 'unapproved' } },
    spec: { group: 'coordination.k8s.io', scope: 'Namespaced', names, versions: [version('v9', true, {})] },
  }
  const served = async () => (await send('GET', `${LEASES}/v1/namespaces/a/leases/one`)).status

  beforeEach(async () => {
    await send('POST', `${LEASES}/v1/namespaces/a/leases`, { metadata: { name: 'one' } })
  })

  test('is not established, and takes nothing with it when it goes', async () => {
    const { body } = await send('POST', DEFINITIONS, taken)
    const conditions = body.status.conditions as { type: string; status: string; message: string }[]
    expect(conditions.map(({ type, status, message }) => [type, status, message])).toEqual([
      ['NamesAccepted', 'False', '"LeaseList" is already in use'],
      ['Established', 'False', 'not all names are accepted'],
    ])
    expect((await send('GET', `${LEASES}/v9/namespaces/a/leases`)).status).toBe(404)
    const gone = definitionGone()
    await send('DELETE', `${DEFINITIONS}/${NAME}`)
    await gone
    expect(await served()).toBe(200)
  })

  test('is served no more where somebody writes into its status that it is', async () => {
    const { body } = await send('POST', DEFINITIONS, taken)
    const conditions = ['NamesAccepted', 'Established'].map((type) => ({ type, status: 'True', reason: 'X' }))
    const forged = { ...body, status: { ...body.status, acceptedNames: names, conditions } }
    expect((await send('PUT', `${DEFINITIONS}/${NAME}/status`, forged)).status).toBe(200)
    expect((await send('GET', `${LEASES}/v9/namespaces/a/leases`)).status).toBe(404)
    const gone = definitionGone()
    await send('DELETE', `${DEFINITIONS}/${NAME}`)
    await gone
    expect(await served()).toBe(200)
  })
})

describe('scale', () => {
  test('reads and writes the replicas of any kind', async () => {
    await send('POST', DEFINITIONS, definition([version('v1', true, {})]))
    await send('POST', V1, widget('v1', { replicas: 2 }))
    const { body: scale } = await send('GET', `${V1}/one/scale`)
    expect([scale.kind, scale.apiVersion, scale.spec, scale.status]).toEqual([
      'Scale',
      'autoscaling/v1',
      { replicas: 2 },
      { replicas: 0 },
    ])
    expect((await send('PUT', `${V1}/one/scale`, { ...scale, spec: { replicas: 5 } })).body.spec).toEqual({
      replicas: 5,
    })
    expect((await send('PUT', `${V1}/one/scale`, { ...scale, spec: { replicas: 6 } })).status).toBe(409)
    const { body } = await send('PATCH', `${V1}/one/scale`, { spec: { replicas: 7 } }, 'application/merge-patch+json')
    expect(body.spec).toEqual({ replicas: 7 })
    expect((await send('GET', `${V1}/one`)).body).toMatchObject({ spec: { replicas: 7 }, metadata: { generation: 3 } })
  })
})
