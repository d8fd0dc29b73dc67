import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { configMap, createRequests, said } from '../testing/requests.ts'
import { type RunningServer, startServer } from '../testing/running-server.ts'

let server: RunningServer
const { collection, get, patch, post } = createRequests(() => server)

beforeAll(async () => {
  server = await startServer()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

describe('create', () => {
  test('sets what the server owns and drops what a client may not set', async () => {
    const path = await collection()
    const { status, body } = await post(path, {
      ...configMap('a', { data: { k: 'v' } }),
      metadata: {
        name: 'a',
        uid: 'mine',
        creationTimestamp: '2000-01-01T00:00:00Z',
        deletionTimestamp: '2000-01-01T00:00:00Z',
        deletionGracePeriodSeconds: 5,
        selfLink: '/x',
      },
    })
    expect(status).toBe(201)
    expect(body).toEqual({
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: {
        name: 'a',
        namespace: expect.stringMatching(/^test-/),
        uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
        resourceVersion: expect.stringMatching(/^\d+$/),
        creationTimestamp: expect.stringMatching(/^20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        managedFields: [
          {
            manager: 'unknown',
            operation: 'Update',
            apiVersion: 'v1',
            time: expect.any(String),
            fieldsType: 'FieldsV1',
            fieldsV1: { 'f:data': { '.': {}, 'f:k': {} } },
          },
        ],
      },
      data: { k: 'v' },
    })
    expect((await get(`${path}/a`)).body).toEqual(body)
  })

  test('makes up names', async () => {
    const path = await collection()
    const { body } = await post(path, { metadata: { generateName: 'made-' } })
    expect(body.metadata.name).toMatch(/^made-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
    const long = await post(path, { metadata: { generateName: 'x'.repeat(80) } })
    expect(long.body.metadata.name).toHaveLength(63)
  })

  test('stores nothing in a dry run', async () => {
    const path = await collection()
    const dry = await post(`${path}?dryRun=All`, configMap('a'))
    expect([dry.status, dry.body.metadata.resourceVersion]).toEqual([201, undefined])
    expect((await get(`${path}/a`)).status).toBe(404)
    await post(path, configMap('a'))
    expect(said(await post(`${path}?dryRun=All`, configMap('a')))).toBe(
      '409 AlreadyExists: configmaps "a" already exists',
    )
  })

  test.each<[name: string, query: string, body: unknown, expected: string]>([
    [
      'a bad name',
      '',
      configMap('Bad'),
      "422 Invalid: ConfigMap \"Bad\" is invalid: metadata.name: Invalid value: \"Bad\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    ],
    [
      'no name',
      '',
      { data: {} },
      '422 Invalid: ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
    ],
    [
      'another namespace',
      '',
      { metadata: { name: 'a', namespace: 'other' } },
      '400 BadRequest: the namespace of the provided object does not match the namespace sent on the request',
    ],
    [
      'another version',
      '',
      { ...configMap('a'), apiVersion: 'v2' },
      '400 BadRequest: ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v2" in scheme "pkg/runtime/scheme.go:110"',
    ],
    [
      'a wrong type',
      '',
      configMap('a', { data: { a: 1 } }),
      '400 BadRequest: ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string',
    ],
    [
      'an unknown field under strict validation',
      '?fieldValidation=Strict',
      configMap('a', { colour: 'red', metadata: { name: 'a', hue: 1 } }),
      '400 BadRequest: ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "metadata.hue", unknown field "colour"',
    ],
    [
      'a field twice under strict validation',
      '?fieldValidation=Strict',
      '{"metadata":{"name":"a"},"data":{"x":"1","y":"\\"}","x":"2"}}',
      '400 BadRequest: ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data.x"',
    ],
    [
      'an unknown kind of validation',
      '?fieldValidation=Perhaps',
      configMap('a'),
      '422 Invalid: CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Perhaps": supported values: "", "Ignore", "Strict", "Warn"',
    ],
    [
      'an unknown dry run',
      '?dryRun=Some',
      configMap('a'),
      '422 Invalid: CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"',
    ],
  ])('refuses %s', async (_name, query, body, expected) => {
    expect(said(await post((await collection()) + query, body))).toBe(expected)
  })

  test('warns of unknown fields unless told not to', async () => {
    const path = await collection()
    const warned = await post(path, configMap('a', { colour: 'red' }))
    expect([warned.status, warned.headers['warning']]).toEqual([201, '299 - "unknown field \\"colour\\""'])
    const ignored = await post(`${path}?fieldValidation=Ignore`, configMap('b', { colour: 'red' }))
    expect([ignored.status, ignored.headers['warning']]).toEqual([201, undefined])
  })

  test('reads YAML', async () => {
    const path = await collection()
    const { status, body } = await post(path, 'metadata: {name: a}\ndata:\n  k: v\n  k: w\n', {
      'content-type': 'application/yaml',
    })
    expect([status, body.data]).toEqual([201, { k: 'w' }])
  })

  test('a key called __proto__ is data like any other', async () => {
    const path = await collection()
    await post(path, '{"metadata":{"name":"a"},"data":{"__proto__":"x"}}')
    expect((await get(`${path}/a`)).text).toContain('"data":{"__proto__":"x"}')
    await patch(`${path}/a`, '{"data":{"k":"v"}}')
    expect((await get(`${path}/a`)).text).toContain('"__proto__":"x"')
    expect(({} as { x?: unknown }).x).toBeUndefined()
  })
})

describe('bodies', () => {
  test.each<[name: string, body: string, type: string, expected: string]>([
    ['no body', '', 'application/json', '400 BadRequest'],
    ['half a body', '{"metadata":', 'application/json', '400 BadRequest'],
    ['a list', '[]', 'application/json', '400 BadRequest'],
    ['broken YAML', 'a: [', 'application/yaml', '400 BadRequest'],
    ['another media type', '{}', 'text/plain', '415 UnsupportedMediaType'],
    ['nothing but depth', '{"a":'.repeat(5000) + '1' + '}'.repeat(5000), 'application/json', '400 BadRequest'],
  ])('%s is refused', async (_name, body, type, expected) => {
    const answer = await post(await collection(), body, { 'content-type': type })
    expect(`${answer.status} ${answer.body.reason}`).toBe(expected)
  })

  test('more than 3 MiB is refused, and the connection goes on', async () => {
    const path = await collection()
    const answer = await post(path, configMap('a', { data: { k: 'x'.repeat(3 << 20) } }))
    expect(said(answer)).toBe('413 RequestEntityTooLarge: Request entity too large: limit is 3145728')
    expect((await get(path)).status).toBe(200)
  })

  test('aliases that multiply are refused', async () => {
    const lines = ['a: &a [x,x,x,x,x,x,x,x,x]']
    for (let level = 1; level < 9; level++)
      lines.push(
        `b${level}: &b${level} [${Array.from({ length: 9 }, () => `*${level === 1 ? 'a' : `b${level - 1}`}`).join()}]`,
      )
    const answer = await post(await collection(), lines.join('\n'), { 'content-type': 'application/yaml' })
    expect(answer.status).toBe(400)
  })
})
