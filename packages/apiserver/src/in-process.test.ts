import type { KubeObject } from '@caisson/api'
import { expect, onTestFinished, test } from 'vitest'
import { ADMINISTRATOR, startServer } from './testing/running-server.ts'

test('a body is taken as it is when it is handed over, as it would be after JSON', async () => {
  const server = await startServer()
  onTestFinished(() => server[Symbol.asyncDispose]())
  const client = server.server.connect(ADMINISTRATOR)
  await client.request({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name: 'a' } } })
  const data: Record<string, unknown> = Object.freeze({ date: new Date(0), gone: undefined, ['__proto__']: 'kept' })
  const given = { metadata: { name: 'm', finalizers: ['example.com/a', 'example.com/b'] }, data }
  const answer = client.request({ method: 'POST', path: '/api/v1/namespaces/a/configmaps', body: given })
  given.metadata.finalizers.length = 0
  given.data = {}
  const { status, body } = await answer
  const stored = body as KubeObject & { data: object }
  expect({ status, finalizers: stored.metadata.finalizers, data: JSON.stringify(stored.data) }).toEqual({
    status: 201,
    finalizers: ['example.com/a', 'example.com/b'],
    data: '{"date":"1970-01-01T00:00:00.000Z","__proto__":"kept"}',
  })
  expect(Object.isFrozen(given.metadata.finalizers)).toBe(false)
})
