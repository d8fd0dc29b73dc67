/** What a change of an object has looked at, on a real API server. */
import { componentUsers, startApiServer } from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { nothing } from '@caisson/controllers'
import { expect, test } from 'vitest'
import { NAMESPACE, startTestServer } from '../testing/test-server.ts'
import { createWiring, kindsOf } from './wiring.ts'

test('a bare Pod has those looked at that select it, and nobody else', async () => {
  await using server = await startTestServer({ startApiServer, componentUsers })
  const { client, own, informers, signal } = server
  const at = { namespace: NAMESPACE }
  const spec = { containers: [{ name: 'main', image: 'x' }] }
  for (const app of ['one', 'other'])
    await client.create(
      resources.replicaSets,
      {
        metadata: { name: app },
        spec: { selector: { matchLabels: { app } }, template: { metadata: { labels: { app } }, spec } },
      },
      at,
    )
  const kinds = kindsOf(informers)
  await informers.synced(signal)
  await using stack = new AsyncDisposableStack()
  const onError = (error: unknown): never => {
    throw error
  }
  const wiring = createWiring(
    kinds,
    { client: own, informers, record: () => {}, onError, now: Date.now, signal },
    stack,
  )
  const engine = wiring.start({
    name: 'test',
    informer: kinds.sets,
    others: [],
    observe: (set) => set,
    plan: () => nothing(),
  })
  const looked: string[] = []
  const noted = {
    ...engine,
    enqueue(key: string) {
      looked.push(key)
      engine.enqueue(key)
    },
  }
  wiring.follow(kinds.pods, kinds.sets, noted, ({ spec: of }) => of?.selector)

  const last = Promise.withResolvers<void>()
  stack.use(kinds.pods.handle({ added: ({ metadata }) => metadata.name === 'last' && last.resolve() }))
  const bare = (name: string, labels?: Record<string, string>): Promise<unknown> =>
    client.create(resources.pods, { metadata: { name, ...(labels && { labels }) }, spec }, at)
  await bare('selected', { app: 'one' })
  await bare('unselected', { app: 'nobody' })
  await bare('last')
  await last.promise
  expect(looked).toEqual(['default/one'])
})
