import { afterAll, beforeAll, expect, test } from 'vitest'
import { HERD_DEFINITION } from '../../testing/herd-definition.ts'
import { MERGE } from '../../testing/requests.ts'
import { startTemporaryServer, type WholeServer } from '../../testing/whole-server.ts'

let server: WholeServer
const get = (path: string, headers = {}) => server.request('GET', path, { headers })
const post = (path: string, body: object) => server.request('POST', path, { body })

const TABLE = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }
const DEPLOYMENT = '/apis/apps/v1/namespaces/default/deployments'
const HERDS = '/apis/scaled.example.com/v1/namespaces/default/herds'

beforeAll(async () => {
  server = await startTemporaryServer()
  const labels = { app: 'web' }
  await post(DEPLOYMENT, {
    metadata: { name: 'web' },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x' }] } },
    },
  })
  await post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', HERD_DEFINITION)
  await post(HERDS, {
    kind: 'Herd',
    apiVersion: 'scaled.example.com/v1',
    metadata: { name: 'sheep' },
    spec: { replicas: 3 },
  })
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

test.each([
  [
    'a built-in kind',
    `${DEPLOYMENT}/web/scale`,
    ['Name:string', 'Desired:integer', 'Available:integer', 'Age:string'],
    ['web', 2, 0],
  ],
  [
    'a kind that is defined',
    `${HERDS}/sheep/scale`,
    ['Name:string/name', 'Desired:integer', 'Available:integer', 'Age:date'],
    ['sheep', 3, 0],
  ],
])('the replicas of %s as a table', async (_kind, path, columns, cells) => {
  const { body } = await get(path, TABLE)
  expect(body).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' })
  const definitions = body.columnDefinitions as Array<{ name: string; type: string; format: string }>
  expect(definitions.map(({ name, type, format }) => `${name}:${type}${format && `/${format}`}`)).toEqual(columns)
  expect(body.rows.map((row: { cells: unknown[] }) => row.cells.slice(0, 3))).toEqual([cells])
  expect(body.rows[0].cells[3]).toMatch(/^\d+s$/)
  expect(body.rows[0].object).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: cells[0] } })
})

test('an update of them as a table, and their metadata alone', async () => {
  const change = { spec: { replicas: 4 } }
  const { body } = await server.request('PATCH', `${HERDS}/sheep/scale`, {
    body: change,
    headers: { ...MERGE, ...TABLE },
  })
  expect(body.rows[0].cells.slice(0, 3)).toEqual(['sheep', 4, 0])
  const metadata = { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' }
  const { body: partial } = await get(`${HERDS}/sheep/scale`, metadata)
  expect(partial).toEqual({
    kind: 'PartialObjectMetadata',
    apiVersion: 'meta.k8s.io/v1',
    metadata: (await get(`${HERDS}/sheep/scale`)).body.metadata,
  })
})

test('an update of them where the client says that somebody scaled at some time', async () => {
  const { body } = await get(`${DEPLOYMENT}/web`)
  const fieldsV1 = { 'f:spec': { 'f:replicas': {}, 'f:paused': {} } }
  const scaled = { manager: 'x', operation: 'Update', apiVersion: 'apps/v1', subresource: 'scale', fieldsV1 }
  const managedFields = [{ ...scaled, time: '2020-01-01T00:00:00Z', fieldsType: 'FieldsV1' }]
  await post(DEPLOYMENT, { ...body, metadata: { name: 'told', managedFields } })
  const { status } = await server.request('PATCH', `${DEPLOYMENT}/told/scale`, {
    body: { spec: { replicas: 5 } },
    headers: MERGE,
  })
  expect(status).toBe(200)
  const told = await get(`${DEPLOYMENT}/told`)
  const entries = told.body.metadata.managedFields as Array<{ subresource?: string; time?: string }>
  expect(entries.filter(({ subresource }) => subresource === 'scale').map(({ time }) => time)).toEqual([
    undefined,
    undefined,
  ])
})
