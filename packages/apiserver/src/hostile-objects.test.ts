/** Objects, patches, queries and paths that mean harm, against a whole running server. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { RequestOptions } from './testing/running-server.ts'
import { startTemporaryServer, type WholeServer } from './testing/whole-server.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'
const MERGE = { 'content-type': 'application/merge-patch+json' }

let api: WholeServer

beforeAll(async () => {
  api = await startTemporaryServer()
  await api.request('POST', MAPS, { body: { metadata: { name: 'there' }, data: { a: '1' } } })
})

afterEach(async () => {
  expect(Object.prototype).toEqual({})
  expect(Object.keys(Object.getOwnPropertyDescriptors(Object.prototype)).sort()).toEqual(NATIVE)
  expect((await api.request('GET', `${MAPS}/there`)).status).toBe(200)
})

afterAll(async () => {
  await api[Symbol.asyncDispose]()
  expect(api.reported).toEqual([])
})

const NATIVE = Object.keys(Object.getOwnPropertyDescriptors(Object.prototype)).sort()

describe.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf'])(
  'the name %s',
  (key) => {
    const named = key.replaceAll('_', 'x').toLowerCase()

    test('is a key of data like any other, through every door', async () => {
      await api.request('POST', MAPS, { body: `{"metadata":{"name":"${named}"},"data":{"${key}":"one"}}` })
      const data = async (): Promise<string[]> =>
        Object.entries((await api.request('GET', `${MAPS}/${named}`)).body.data as object).flat() as string[]
      expect(await data()).toEqual([key, 'one'])
      const patches: [string, RequestOptions][] = [
        ['two', { body: `{"data":{"${key}":"two"}}`, headers: MERGE }],
        [
          'three',
          {
            body: `{"data":{"${key}":"three"}}`,
            headers: { 'content-type': 'application/strategic-merge-patch+json' },
          },
        ],
        [
          'four',
          {
            body: `[{"op":"add","path":"/data/${key}","value":"four"}]`,
            headers: { 'content-type': 'application/json-patch+json' },
          },
        ],
      ]
      for (const [value, options] of patches) {
        const { status, body } = await api.request('PATCH', `${MAPS}/${named}`, options)
        expect([status, body.message]).toEqual([200, undefined])
        expect(await data()).toEqual([key, value])
      }
      const applied = await api.request('PATCH', `${MAPS}/${named}?fieldManager=me&force=true`, {
        body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${named}"},"data":{"${key}":"five"}}`,
        headers: { 'content-type': 'application/apply-patch+yaml' },
      })
      expect([applied.status, await data()]).toEqual([200, [key, 'five']])
    })

    test('means nothing in places that have names of their own', async () => {
      const tried = await Promise.all([
        api.request('PATCH', `${MAPS}/there`, {
          body: `{"${key}":{"polluted":"yes"},"metadata":{"${key}":{"polluted":"yes"}}}`,
          headers: MERGE,
        }),
        api.request('PATCH', `${MAPS}/there`, {
          body: `[{"op":"add","path":"/${key}/polluted","value":"yes"}]`,
          headers: { 'content-type': 'application/json-patch+json' },
        }),
        api.request('GET', `/api/v1/namespaces/default/${key}`),
        api.request('GET', `/apis/${key}/${key}/${key}`),
        api.request('GET', `${MAPS}?fieldSelector=${key}%3Dx`),
        api.request('GET', `${MAPS}?${key}=x`),
      ])
      expect(tried.map(({ status }) => status).slice(1)).toEqual([422, 404, 404, 400, 200])
      expect(Object.keys((await api.request('GET', `${MAPS}/there`)).body)).toEqual([
        'kind',
        'apiVersion',
        'metadata',
        'data',
      ])
    })
  },
)

describe('objects of many parts take time in proportion', () => {
  const many = <T>(count: number, make: (index: number) => T): T[] =>
    Array.from({ length: count }, (_, index) => make(index))
  const shapes: Record<string, (count: number) => object> = {
    'owner references': (count) => ({
      ownerReferences: many(count, (index) => ({ apiVersion: 'v1', kind: 'Pod', name: `p${index}`, uid: 'u' })),
    }),
    finalizers: (count) => ({ finalizers: many(count, (index) => `example.com/f${index}`) }),
    labels: (count) => ({ labels: Object.fromEntries(many(count, (index) => [`k${index}`, 'v'])) }),
  }
  test.each(Object.entries(shapes))('%s', async (name, shape) => {
    const cost = async (count: number): Promise<number> => {
      const used = process.cpuUsage()
      await api.request('POST', `${MAPS}?dryRun=All`, { body: { metadata: { name: 'many', ...shape(count) } } })
      const { user, system } = process.cpuUsage(used)
      return user + system
    }
    await cost(2000)
    const [small, large] = [await cost(4000), await cost(16_000)]
    // Four times as many take four times as long; if each were compared with each, sixteen times.
    expect(large / small, name).toBeLessThan(11)
  })
})

describe('queries and paths', () => {
  test.each([
    ['limit=1e9', 400],
    ['limit=0x10', 400],
    ['limit=-1', 200],
    ['limit=1&continue=zzz', 400],
    [
      `continue=${encodeURIComponent(Buffer.from('{"v":"meta.k8s.io/v1","rv":-1,"start":"../../x"}').toString('base64'))}`,
      400,
    ],
    ['resourceVersion=-1', 400],
    ['resourceVersion=99999999999999999999', 400],
    [`labelSelector=${encodeURIComponent('('.repeat(20_000))}`, 400],
    [`labelSelector=${encodeURIComponent(`a in (${Array.from({ length: 8000 }, (_, index) => index).join()})`)}`, 200],
    [`fieldSelector=${encodeURIComponent('\\,'.repeat(10_000))}`, 400],
  ])('%.40s is answered with %i', async (query, expected) => {
    expect((await api.request('GET', `${MAPS}?${query}`)).status).toBe(expected)
  })

  test.each(['..%2f..%2fsecrets', 'a%0d%0aX-Evil:%20yes', '%00'])(
    'the name %s is a name, and no way out',
    async (name) => {
      const { status, headers } = await api.request('GET', `${MAPS}/${name}`)
      expect([status, headers['x-evil']]).toEqual([404, undefined])
    },
  )

  test('a path that is no percent-encoding is refused', async () => {
    expect((await api.request('GET', `${MAPS}/%ff`)).status).toBe(400)
  })

  test.each(['\u0430dmin', 'a\u200bb', 'a/../b', '..', 'a%00b', 'a\nb', '\ud800', 'e\u0301', 'A', 'x'.repeat(254)])(
    'an object cannot be called %j',
    async (name) => {
      expect((await api.request('POST', MAPS, { body: { metadata: { name } } })).status).toBe(422)
    },
  )

  test('lines in a command, a container or a user do not become headers', async () => {
    const evil = 'a%0d%0aX-Evil:%20yes'
    const answers = await Promise.all([
      api.request('GET', `/api/v1/namespaces/default/pods/p/log?container=${evil}`),
      api.request('GET', `/api/v1/namespaces/default/pods/p/exec?command=${evil}`),
      api.request('POST', `${MAPS}?fieldManager=${evil}`, { body: { metadata: { name: 'evil' } } }),
    ])
    expect(answers.map(({ status, headers }) => [status, headers['x-evil']])).toEqual([
      [404, undefined],
      [404, undefined],
      [422, undefined],
    ])
  })
})

describe('bodies that are deep', () => {
  test.each([
    ['JSON that never closes', '['.repeat(1_000_000), 'application/json'],
    ['JSON of many levels', `{"data":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`, 'application/json'],
    ['YAML of many levels', `a: ${'['.repeat(50_000)}`, 'application/yaml'],
  ])('%s is refused', async (_, body, type) => {
    const { status } = await api.request('POST', MAPS, { body, headers: { 'content-type': type } })
    expect(status).toBe(400)
  })
})
