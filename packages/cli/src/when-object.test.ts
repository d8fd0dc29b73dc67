/** What commands wait for, on a real API server. */
import { type Client, createClient, resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestServer, type TestServer } from './testing/api-server.ts'
import { type WhenOptions, whenObject } from './when-object.ts'

const NAMESPACE = 'default'

let server: TestServer
let client: Client
beforeAll(async () => {
  server = await startTestServer()
  client = createClient(server.connect())
})
afterAll(() => server[Symbol.asyncDispose]())

type Said = { data?: Record<string, string> }

async function create(name: string, data: Record<string, string>): Promise<void> {
  await client.create(resources.configMaps, { metadata: { name }, data }, { namespace: NAMESPACE })
}

function when(name: string, options: Partial<WhenOptions<Said, string>> = {}): Promise<string> {
  return whenObject(client, resources.configMaps, {
    namespace: NAMESPACE,
    name,
    signal: AbortSignal.timeout(20_000),
    wanted: ({ data }: Said) => data?.['answer'],
    ...options,
  })
}

test('says what is wanted once an object says it', async () => {
  await create('soon', {})
  const answer = when('soon')
  await client.patch(resources.configMaps, 'soon', { data: { answer: '42' } }, { namespace: NAMESPACE })
  expect(await answer).toBe('42')
})

test('says what was waited for in vain when the time is up, and why where the object does', async () => {
  await create('late', { why: 'nobody came' })
  const signal = AbortSignal.timeout(300)
  await expect(when('late', { signal, why: ({ data }) => data?.['why'] })).rejects.toMatchObject({
    code: 'timed-out',
    message: "ConfigMap late was not ready in time: nobody came: 'kubectl describe configmap late' says more",
  })
  await expect(when('late', { signal: AbortSignal.timeout(300) })).rejects.toMatchObject({
    code: 'timed-out',
    message: "ConfigMap late was not ready in time: 'kubectl describe configmap late' says why",
  })
})

test('fails as whoever ends it says, and where the object goes', async () => {
  await create('gone', {})
  const stop = new AbortController()
  const stopped = when('gone', { signal: stop.signal })
  stop.abort(new Error('interrupted'))
  await expect(stopped).rejects.toThrow('interrupted')
  const deleted = when('gone')
  await client.delete(resources.configMaps, 'gone', { namespace: NAMESPACE })
  await expect(deleted).rejects.toMatchObject({ message: 'ConfigMap gone was deleted meanwhile' })
})
