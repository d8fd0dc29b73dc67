import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { configMap, createRequests, namesOf, said } from '../testing/requests.ts'
import { type RunningServer, startServer } from '../testing/running-server.ts'

let server: RunningServer
const { collection, get, patch, post, put, remove } = createRequests(() => server)

beforeAll(async () => {
  server = await startServer()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

describe('delete', () => {
  test('answers with a Status and the uid of what is gone', async () => {
    const path = await collection()
    const { body } = await post(path, configMap('a'))
    expect((await remove(`${path}/a`)).body).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: { name: 'a', kind: 'configmaps', uid: body.metadata.uid },
    })
    expect((await remove(`${path}/a`)).status).toBe(404)
  })

  test('keeps its preconditions', async () => {
    const path = await collection()
    const { body } = await post(path, configMap('a'))
    expect(said(await remove(`${path}/a`, { preconditions: { uid: 'x' } }))).toBe(
      `409 Conflict: Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (x) does not match the UID in record (${body.metadata.uid}). The object might have been deleted and then recreated`,
    )
    const { uid, resourceVersion } = body.metadata
    expect((await remove(`${path}/a`, { preconditions: { uid, resourceVersion } })).status).toBe(200)
  })

  test('waits for finalizers, which then cannot be added', async () => {
    const path = await collection()
    await post(path, { ...configMap('a'), metadata: { name: 'a', finalizers: ['example.com/hold'] } })
    const { body } = await remove(`${path}/a`)
    expect([body.kind, body.metadata.deletionGracePeriodSeconds, body.metadata.finalizers]).toEqual([
      'ConfigMap',
      0,
      ['example.com/hold'],
    ])
    const again = await remove(`${path}/a`)
    expect(again.body.metadata.resourceVersion).toBe(body.metadata.resourceVersion)
    const added = await patch(`${path}/a`, { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } })
    expect(said(added)).toContain(
      'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/more"}',
    )
    expect((await post(path, configMap('a'))).body.message).toBe(
      'object is being deleted: configmaps "a" already exists',
    )
    expect((await patch(`${path}/a`, { metadata: { finalizers: null } })).status).toBe(200)
    expect((await get(`${path}/a`)).status).toBe(404)
  })

  test.each<[policy: string, finalizers: string[] | undefined]>([
    ['Foreground', ['foregroundDeletion']],
    ['Orphan', ['orphan']],
    ['Background', undefined],
  ])('%s propagation leaves the work to the garbage collector', async (propagationPolicy, finalizers) => {
    const path = await collection()
    await post(path, configMap('a'))
    const { body } = await remove(`${path}/a`, { propagationPolicy })
    expect(body.metadata?.finalizers).toEqual(finalizers)
  })

  test('refuses a policy that it does not know', async () => {
    const path = await collection()
    await post(path, configMap('a'))
    expect(said(await remove(`${path}/a`, { propagationPolicy: 'Sideways' }))).toContain(
      'propagationPolicy: Unsupported value: "Sideways": supported values: "Foreground", "Background", "Orphan", "nil"',
    )
  })

  test('of a collection deletes what is selected', async () => {
    const path = await collection()
    for (const [name, side] of [
      ['a', 'left'],
      ['b', 'right'],
      ['c', 'left'],
    ] as const)
      await post(path, { ...configMap(name), metadata: { name, labels: { side } } })
    expect(namesOf(await remove(`${path}?labelSelector=side%3Dleft`))).toEqual(['a', 'c'])
    expect(namesOf(await get(path))).toEqual(['b'])
  })

  test('a namespace goes when its finalizers do', async () => {
    const path = await collection()
    const namespace = path.replace('/configmaps', '')
    const { status, body } = await remove(namespace)
    expect([status, body.status.phase, body.spec.finalizers]).toEqual([200, 'Terminating', ['kubernetes']])
    const done = await put(`${namespace}/finalize`, { ...body, spec: { finalizers: [] } })
    expect(done.status).toBe(200)
    expect((await get(namespace)).status).toBe(404)
  })
})
