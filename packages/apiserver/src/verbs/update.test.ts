import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { configMap, createRequests, JSON_PATCH, MERGE, said } from '../testing/requests.ts'
import { type RunningServer, startServer } from '../testing/running-server.ts'

let server: RunningServer
const { collection, patch, post, put } = createRequests(() => server)

beforeAll(async () => {
  server = await startServer()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

describe('update', () => {
  test('replaces the object, and notices a change in between', async () => {
    const path = await collection()
    const { body: first } = await post(path, configMap('a', { data: { k: '1' } }))
    const second = await put(`${path}/a`, { ...first, data: { k: '2' } })
    expect([second.status, second.body.data, second.body.metadata.uid]).toEqual([200, { k: '2' }, first.metadata.uid])
    expect(said(await put(`${path}/a`, { ...first, data: { k: '3' } }))).toBe(
      '409 Conflict: Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
    )
    // Without a resourceVersion the last one wins.
    expect((await put(`${path}/a`, configMap('a', { data: { k: '4' } }))).body.data).toEqual({ k: '4' })
  })

  test('that changes nothing writes nothing', async () => {
    const path = await collection()
    const { body } = await post(path, configMap('a', { data: { k: '1' } }))
    const { revision } = server.store
    expect((await put(`${path}/a`, body)).body).toEqual(body)
    expect((await patch(`${path}/a`, { data: { k: '1' } })).body).toEqual(body)
    expect(server.store.revision).toBe(revision)
  })

  test.each<[name: string, change: object, expected: string]>([
    [
      'of another name',
      { metadata: { name: 'b' } },
      '400 BadRequest: the name of the object (b) does not match the name on the URL (a)',
    ],
    [
      'of another uid',
      { metadata: { name: 'a', uid: 'other' } },
      expect.stringMatching(
        /^409 Conflict: .*Precondition failed: UID in precondition: other, UID in object meta: /,
      ) as never,
    ],
    [
      'with a resourceVersion that is no number',
      { metadata: { name: 'a', resourceVersion: 'x' } },
      '500 undefined: strconv.ParseUint: parsing "x": invalid syntax',
    ],
  ])('%s is refused', async (_name, change, expected) => {
    const path = await collection()
    await post(path, configMap('a'))
    expect(said(await put(`${path}/a`, { ...configMap('a'), ...change }))).toEqual(expected)
  })

  test.each<[name: string, managedFields: object[]]>([
    ['an empty list of owners', []],
    ['a list of nobody', [{}]],
  ])('with %s has them forgotten, and through no door but the object’s own', async (_name, managedFields) => {
    const namespace = (await collection()).replace('/configmaps', '')
    const ownersAt = async (path: string): Promise<unknown> =>
      (await patch(path, { metadata: { managedFields } })).body.metadata.managedFields
    expect(await ownersAt(`${namespace}/status`)).toHaveLength(1)
    expect(await ownersAt(namespace)).toBeUndefined()
  })

  test('of what is not there is not a creation', async () => {
    const path = await collection()
    expect(said(await put(`${path}/a`, configMap('a')))).toBe('404 NotFound: configmaps "a" not found')
  })
})

describe('patch', () => {
  test('may take the kind away, which the path says, but not the version', async () => {
    const path = await collection()
    await post(path, configMap('a', { data: { k: '1' } }))
    const changed = await patch(`${path}/a`, { kind: null, data: { k: '2' } })
    expect([changed.status, changed.body.kind, changed.body.data]).toEqual([200, 'ConfigMap', { k: '2' }])
    const nameless = '400 BadRequest: the name of the object (a based on URL) was undeterminable: name must be provided'
    expect(said(await patch(`${path}/a`, { apiVersion: null }))).toBe(nameless)
    expect(said(await patch(`${path}/a`, [{ op: 'replace', path: '', value: {} }], JSON_PATCH))).toBe(nameless)
    expect(said(await patch(`${path}/a`, { apiVersion: null, metadata: null }))).toBe(nameless)
  })

  test('half of a character is read as the character for what cannot be read', async () => {
    const path = await collection()
    const { body } = await post(
      path,
      configMap('a', { data: { half: '\ud800', whole: '\ud83d\ude00', escaped: '\\ud800' } }),
    )
    expect(body.data).toEqual({ half: '\ufffd', whole: '\ud83d\ude00', escaped: '\\ud800' })
    expect((await patch(`${path}/a`, { data: { half: '\udfff!' } })).body.data?.['half']).toBe('\ufffd!')
  })

  test('by JSON Patch', async () => {
    const path = await collection()
    await post(path, {
      ...configMap('a', { data: { k: '1' } }),
      metadata: { name: 'a', annotations: { 'example.com/note': 'x' } },
    })
    const operations = [
      { op: 'test', path: '/data/k', value: '1' },
      { op: 'remove', path: '/metadata/annotations/example.com~1note' },
      { op: 'copy', from: '/data/k', path: '/data/copy' },
    ]
    const { body } = await patch(`${path}/a`, operations, JSON_PATCH)
    expect([body.data, body.metadata.annotations]).toEqual([{ k: '1', copy: '1' }, undefined])
    const answer = await patch(`${path}/a`, [operations[0], { op: 'remove', path: '/data/nothing' }], JSON_PATCH)
    expect(answer.body).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'the server rejected our request due to an error in our request',
      reason: 'Invalid',
      details: {
        causes: [
          {
            reason: 'FieldValueInvalid',
            message: 'remove operation does not apply: doc is missing path: "/data/nothing"',
            field: 'patch[1]',
          },
        ],
      },
      code: 422,
    })
  })

  test('by merge patch', async () => {
    const path = await collection()
    await post(path, configMap('a', { data: { k: '1', gone: '2' } }))
    expect((await patch(`${path}/a`, { data: { gone: null, new: '3' } })).body.data).toEqual({ k: '1', new: '3' })
  })

  test.each<[name: string, body: unknown, headers: Record<string, string>, expected: string]>([
    ['a list as a merge patch', [], MERGE, '400 BadRequest'],
    ['an object as a JSON Patch', {}, JSON_PATCH, '400 BadRequest'],
    ['a change of identity', { kind: 'Secret' }, MERGE, '422 Invalid'],
    ['a change of uid', { metadata: { uid: 'x' } }, MERGE, '422 Invalid'],
    ['an unknown media type', {}, { 'content-type': 'application/json' }, '415 UnsupportedMediaType'],
    [
      'too many operations',
      Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/kind', value: 'ConfigMap' })),
      JSON_PATCH,
      '413 RequestEntityTooLarge',
    ],
  ])('%s is refused', async (_name, body, headers, expected) => {
    const path = await collection()
    await post(path, configMap('a'))
    const answer = await patch(`${path}/a`, body, headers as typeof MERGE)
    expect(`${answer.status} ${answer.body.reason}`).toBe(expected)
  })

  test('of what is not there is not found', async () => {
    const path = await collection()
    expect((await patch(`${path}/a`, {})).status).toBe(404)
  })
})
