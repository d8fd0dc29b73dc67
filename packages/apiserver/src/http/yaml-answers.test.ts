import { afterAll, beforeAll, expect, test } from 'vitest'
import { configMap, createRequests } from '../testing/requests.ts'
import { type RunningServer, startServer } from '../testing/running-server.ts'

let server: RunningServer
const { collection, get, post } = createRequests(() => server)
const YAML = { accept: 'application/yaml' }

beforeAll(async () => {
  server = await startServer()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

test('objects, and what is wrong with a request, are told in the YAML of Go', async () => {
  const path = await collection()
  await post(path, { ...configMap('c-0'), data: { b: '2', a: 'yes', list: 'x\ny\n' } })
  const { text } = await get(`${path}/c-0`, YAML)
  expect(text).toMatch(
    /^apiVersion: v1\ndata:\n {2}a: "yes"\n {2}b: "2"\n {2}list: \|\n {4}x\n {4}y\nkind: ConfigMap\n/,
  )
  const refused = await get(`${path}/c-1`, YAML)
  expect([refused.status, refused.text]).toEqual([404, expect.stringMatching(/^apiVersion: v1\ncode: 404\n/)])
})

test('a long list in YAML holds nobody up', async () => {
  const path = await collection()
  const data = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`key-${index}`, 'a value']))
  for (let index = 0; index < 10; index++) await post(path, { ...configMap(`c-${index}`), data })
  await get(`${path}/c-0`, YAML)
  const answered: string[] = []
  const long = get(path, YAML).then(({ text }) => answered.push(`${text.split('\n').length > 20_000}`))
  // Its request is on the wire before the first of these, each of which waits for the answer to the one before.
  for (let index = 0; index < 5; index++) {
    await get(`${path}?limit=1`)
    answered.push('short')
  }
  await long
  expect(answered).toEqual([...Array.from({ length: 5 }, () => 'short'), 'true'])
})
