/** What the engine does where one object needs very many writes. */
import { type Sandbox, sandboxCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { createClient, createInformer, keyOf } from '@caisson/client'
import { expect, test } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import { installCrd, sandboxNamed } from '../testing/test-cluster.ts'
import { createEngine } from './engine.ts'
import { nothing } from './plan.ts'

const namespace = 'default'

test('an object that needs very many writes lets others go first now and then', async () => {
  await using cluster = await startEmbeddedCluster(apiserver)
  const { transport } = cluster
  await installCrd(cluster.client, sandboxCrd())
  const wanted = new Map([
    ['large', 2000],
    ['small', 1],
  ])
  for (const name of wanted.keys()) await cluster.client.create(SANDBOXES, sandboxNamed(name), { namespace })
  const written: string[] = []
  const client = createClient({
    ...transport,
    async request(asked) {
      if (asked.method !== 'POST') return transport.request(asked)
      const object = asked.body as Sandbox
      written.push(object.metadata.name?.split('-')[0] ?? '')
      return { status: 201, body: object, warnings: [] }
    },
  })
  await using informer = createInformer(client, SANDBOXES, { namespace })
  await informer.synced()
  await using engine = createEngine<Sandbox, string>(
    {
      name: 'test',
      informer,
      others: [],
      observe: ({ metadata }) => metadata.name ?? '',
      plan(name) {
        const made = written.filter((each) => each === name).length
        const writes = Array.from({ length: Math.min((wanted.get(name) ?? 0) - made, 100) }, (_, index) => ({
          verb: 'create' as const,
          id: `create ${made + index}`,
          batch: 'creations',
          resource: SANDBOXES,
          object: { ...sandboxNamed('child'), metadata: { name: `${name}-${made + index}`, namespace } },
        }))
        return { ...nothing<object>(), writes }
      },
    },
    { client, record: () => {}, concurrency: 1 },
  )
  for (const sandbox of informer.list()) engine.enqueue(keyOf(sandbox))
  await engine.idle()
  expect(written).toHaveLength(2001)
  expect(written.indexOf('small')).toBe(500)
})
