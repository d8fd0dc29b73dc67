import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ADMINISTRATOR, type HttpResponse, type RunningServer, startServer } from '../testing/running-server.ts'

let server: RunningServer
let counter = 0

beforeAll(async () => {
  server = await startServer()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

/** A namespace of its own for each test. */
async function collection(): Promise<string> {
  const name = `test-${++counter}`
  await server.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } })
  return `/api/v1/namespaces/${name}/configmaps`
}

const configMap = (name: string, fields: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  ...fields,
})

const MERGE = { 'content-type': 'application/merge-patch+json' }
const JSON_PATCH = { 'content-type': 'application/json-patch+json' }

const post = (path: string, body: unknown, headers = {}) => server.request('POST', path, { body, headers })
const get = (path: string, headers = {}) => server.request('GET', path, { headers })
const put = (path: string, body: unknown) => server.request('PUT', path, { body })
const patch = (path: string, body: unknown, headers = MERGE) => server.request('PATCH', path, { body, headers })
const remove = (path: string, body?: unknown) => server.request('DELETE', path, body === undefined ? {} : { body })

const namesOf = ({ body }: HttpResponse): string[] =>
  body.items.map((item: { metadata: { name: string } }) => item.metadata.name)

/** What an error says, in one line. */
const said = ({ status, body }: HttpResponse): string => `${status} ${body.reason}: ${body.message}`

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

  test('of what is not there is not a creation', async () => {
    const path = await collection()
    expect(said(await put(`${path}/a`, configMap('a')))).toBe('404 NotFound: configmaps "a" not found')
  })
})

describe('patch', () => {
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
    const answer = await patch(`${path}/a`, [{ op: 'remove', path: '/data/nothing' }], JSON_PATCH)
    expect(said(answer)).toContain('422 Invalid: the server rejected our request due to an error in our request')
  })

  test('by merge patch', async () => {
    const path = await collection()
    await post(path, configMap('a', { data: { k: '1', gone: '2' } }))
    expect((await patch(`${path}/a`, { data: { gone: null, new: '3' } })).body.data).toEqual({ k: '1', new: '3' })
  })

  test.each<[name: string, body: unknown, headers: Record<string, string>, expected: string]>([
    ['a list as a merge patch', [], MERGE, '400 BadRequest'],
    ['an object as a JSON Patch', {}, JSON_PATCH, '400 BadRequest'],
    ['a change of identity', { kind: 'Secret' }, MERGE, '400 BadRequest'],
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

describe('list', () => {
  async function filled(count: number): Promise<string> {
    const path = await collection()
    for (let index = 0; index < count; index++)
      await post(path, { ...configMap(`c-${index}`), metadata: { name: `c-${index}`, labels: { n: String(index) } } })
    return path
  }

  test('pages show one moment, whatever happens between them', async () => {
    const path = await filled(5)
    const first = await get(`${path}?limit=2`)
    expect([namesOf(first), first.body.metadata.remainingItemCount]).toEqual([['c-0', 'c-1'], 3])
    await remove(`${path}/c-2`)
    await post(path, configMap('c-10'))
    const { resourceVersion } = first.body.metadata
    const second = await get(`${path}?limit=2&continue=${first.body.metadata.continue}`)
    expect([namesOf(second), second.body.metadata.resourceVersion]).toEqual([['c-2', 'c-3'], resourceVersion])
    const third = await get(`${path}?limit=2&continue=${second.body.metadata.continue}`)
    expect([namesOf(third), third.body.metadata.continue]).toEqual([['c-4'], undefined])
    const then = await get(`${path}?resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`)
    expect(namesOf(then)).toEqual(['c-0', 'c-1', 'c-2', 'c-3', 'c-4'])
  })

  test.each<[selector: string, expected: string[]]>([
    ['n=1', ['c-1']],
    ['n==1', ['c-1']],
    ['n!=1', ['c-0', 'c-2', 'c-3']],
    ['n in (0,3)', ['c-0', 'c-3']],
    ['n notin (0,3),n', ['c-1', 'c-2']],
    ['!n', []],
    ['n>1', ['c-2', 'c-3']],
    ['n<1', ['c-0']],
    ['in=x', []],
    ['', ['c-0', 'c-1', 'c-2', 'c-3']],
  ])('by labels: %s', async (selector, expected) => {
    const path = await filled(4)
    expect(namesOf(await get(`${path}?labelSelector=${encodeURIComponent(selector)}`))).toEqual(expected)
  })

  test('by fields', async () => {
    const path = await filled(3)
    const select = (text: string) => get(`${path}?fieldSelector=${encodeURIComponent(text)}`)
    expect(namesOf(await select('metadata.name=c-1'))).toEqual(['c-1'])
    expect(namesOf(await select('metadata.name!=c-1,metadata.namespace!=x'))).toEqual(['c-0', 'c-2'])
    expect(said(await select('spec.x=1'))).toBe(
      '400 BadRequest: "spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
    )
  })

  test.each<[query: string, expected: string]>([
    ['labelSelector=a,,b', '400 BadRequest'],
    ['labelSelector=a in', '400 BadRequest'],
    ['fieldSelector=a', '400 BadRequest'],
    ['limit=x', '400 BadRequest'],
    ['resourceVersion=x', '400 BadRequest'],
    ['resourceVersion=99999999', '504 Timeout'],
    ['resourceVersionMatch=Exact', '422 Invalid'],
    ['resourceVersion=0&resourceVersionMatch=Exact', '422 Invalid'],
    ['continue=nonsense', '400 BadRequest'],
    ['sendInitialEvents=true', '422 Invalid'],
  ])('refuses %s', async (query, expected) => {
    const answer = await get(`${await collection()}?${query.replaceAll(' ', '%20')}`)
    expect(`${answer.status} ${answer.body.reason}`).toBe(expected)
  })

  test('as metadata alone, as a table, as YAML', async () => {
    const path = await filled(1)
    const as = (kind: string) => ({ accept: `application/json;as=${kind};g=meta.k8s.io;v=v1` })
    const partial = (await get(path, as('PartialObjectMetadataList'))).body
    expect([partial.kind, partial.items[0].kind, Object.keys(partial.items[0])]).toEqual([
      'PartialObjectMetadataList',
      'PartialObjectMetadata',
      ['kind', 'apiVersion', 'metadata'],
    ])
    const table = (await get(path, as('Table'))).body
    expect([table.kind, table.rows[0].cells[0], table.rows[0].object.kind]).toEqual([
      'Table',
      'c-0',
      'PartialObjectMetadata',
    ])
    expect((await get(`${path}/c-0`, { accept: 'application/yaml' })).text).toContain('kind: ConfigMap\n')
    const refused = await get(path, { accept: 'application/vnd.kubernetes.protobuf' })
    expect(`${refused.status} ${refused.body.reason}`).toBe('406 NotAcceptable')
  })
})

describe('in process', () => {
  test('objects are shared, not copied, and the same rules hold', async () => {
    const path = await collection()
    const client = server.server.connect(ADMINISTRATOR)
    const body = configMap('a', { data: { k: 'v' } })
    const created = await client.request({ method: 'POST', path, body })
    expect(created.status).toBe(201)
    // What was sent still belongs to the caller.
    body.metadata.name = 'changed'
    const found = await client.request({ method: 'GET', path: `${path}/a` })
    expect(found.body).toBe(created.body)
    expect(Object.isFrozen(found.body)).toBe(true)
    const missing = await client.request({ method: 'GET', path: `${path}/b` })
    expect([missing.status, (missing.body as { reason: string }).reason]).toEqual([404, 'NotFound'])
    expect((await get(`${path}/a`)).body.data).toEqual({ k: 'v' })
  })
})

describe('paths', () => {
  test.each<[method: string, path: string, expected: number]>([
    ['GET', '/api/v1/nothings', 404],
    ['GET', '/apis/nothing/v1/nothings', 404],
    ['GET', '/nothing', 404],
    ['GET', '/api/v1/namespaces/default/configmaps/a/nothing', 404],
    ['GET', '/api/v1/namespaces/default/namespaces/a', 404],
    ['PUT', '/api/v1/namespaces/default/configmaps', 405],
    ['POST', '/api/v1/namespaces/default/configmaps/a', 405],
    ['POST', '/api/v1/configmaps', 400],
    ['DELETE', '/api/v1/namespaces', 405],
    ['GET', '/api/v1/namespaces/%E0%A4%A', 400],
    ['GET', '/healthz', 200],
    ['GET', '/livez', 200],
  ])('%s %s: %i', async (method, path, expected) => {
    const answer = await server.request(method, path, method === 'POST' ? { body: configMap('a') } : {})
    expect(answer.status).toBe(expected)
  })

  test('nobody gets in without a name', async () => {
    const answer = await server.request('GET', '/version', { anonymous: true })
    expect(said(answer)).toBe('401 Unauthorized: Unauthorized')
  })

  test('requests are counted as kube-apiserver counts them', async () => {
    const path = await collection()
    await post(path, configMap('a'))
    await server.request('PATCH', `${path}/a?fieldManager=x`, {
      body: configMap('a', { data: { k: 'v' } }),
      headers: { 'content-type': 'application/apply-patch+yaml' },
    })
    await server.server.connect(ADMINISTRATOR).request({ method: 'GET', path })
    const { text } = await get('/metrics')
    const count = (labels: string) => text.includes(`apiserver_request_total{${labels}}`)
    const rest = 'group="",version="v1",resource="configmaps",subresource=""'
    expect(count(`verb="POST",${rest},scope="resource",component="apiserver",dry_run="",code="201"`)).toBe(true)
    expect(count(`verb="APPLY",${rest},scope="resource",component="apiserver",dry_run="",code="200"`)).toBe(true)
    expect(count(`verb="LIST",${rest},scope="namespace",component="apiserver",dry_run="",code="200"`)).toBe(true)
    expect(text).not.toContain('nothings')
  })
})
