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
