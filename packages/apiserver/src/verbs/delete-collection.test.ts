import { expect, test } from 'vitest'
import { TURN_MS } from '../fair-queue.ts'
import { configMap } from '../testing/requests.ts'
import { startServer } from '../testing/running-server.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'

test('objects whose deletion takes a turn each do not keep others waiting for all of them', async () => {
  await using server = await startServer({
    admit({ operation }) {
      const until = operation === 'DELETE' ? performance.now() + TURN_MS : 0
      while (performance.now() < until);
    },
  })
  for (const name of ['a', 'b', 'c']) {
    const { status } = await server.request('POST', MAPS, { body: configMap(name) })
    expect(status).toBe(201)
  }
  let commits = 0
  using _counted = server.store.onCommit(() => void commits++)
  const { status, body } = await server.request('DELETE', MAPS)
  expect([status, body.items.length, commits]).toEqual([200, 3, 3])
  expect([...server.store.list('configmaps')]).toEqual([])
})
