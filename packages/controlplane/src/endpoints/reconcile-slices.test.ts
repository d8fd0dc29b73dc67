import { componentUsers, startApiServer } from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NAMESPACE, startTestServer, type TestServer } from '../testing/test-server.ts'
import {
  BY_LABEL,
  labelPairs,
  reconcileService,
  SLICES_BY_SERVICE,
  selectorPair,
  serviceOfSlice,
} from './reconcile-slices.ts'

let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ startApiServer, componentUsers })
  const { informers } = server
  informers.of(resources.pods, { indexers: { [BY_LABEL]: labelPairs } })
  informers.of(resources.services, { indexers: { [BY_LABEL]: selectorPair } })
  informers.of(resources.endpointSlices, { indexers: { [SLICES_BY_SERVICE]: serviceOfSlice } })
  informers.of(resources.endpoints)
  await informers.synced(server.signal)
})
afterAll(() => server[Symbol.asyncDispose]())

const at = { namespace: NAMESPACE }

/** Addresses of the slices of the Service, as the API server has them after a pass. */
async function mirrored(): Promise<string[][]> {
  await reconcileService(`${NAMESPACE}/db`, { client: server.own, informers: server.informers, signal: server.signal })
  const { items } = await server.client.list(resources.endpointSlices, {
    ...at,
    labelSelector: 'kubernetes.io/service-name=db',
  })
  return items.map((slice) => slice.endpoints.flatMap(({ addresses }) => addresses))
}

test('Endpoints that somebody writes are slices for as long as they and their Service are there', async () => {
  const { client, informers } = server
  const metadata = { name: 'db' }
  const subsets = [{ addresses: [{ ip: '10.1.2.3' }], ports: [{ port: 80 }] }]
  informers.of(resources.endpoints).observe(await client.create(resources.endpoints, { metadata, subsets }, at))
  expect(await mirrored()).toEqual([])
  const service = await client.create(resources.services, { metadata, spec: { ports: [{ port: 80 }] } }, at)
  informers.of(resources.services).observe(service)
  expect(await mirrored()).toEqual([['10.1.2.3']])

  const moved = [{ addresses: [{ ip: '10.2.3.4' }], ports: [{ port: 80 }] }]
  informers.of(resources.endpoints).observe(await client.patch(resources.endpoints, 'db', { subsets: moved }, at))
  expect(await mirrored()).toEqual([['10.2.3.4']])

  informers.of(resources.services).observeDeletion(service)
  expect(await mirrored()).toEqual([])
})
