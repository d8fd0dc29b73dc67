import * as apiserver from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'

let node: ScratchNode
let ahead = 0
beforeAll(async () => {
  node = await startScratchNode(apiserver, { now: () => Date.now() + ahead })
})
afterAll(() => node[Symbol.asyncDispose]())

const at = { namespace: 'default' }

test('a ServiceAccount token in a running container is renewed before it ends, and works', async () => {
  await node.create('tokens', {
    serviceAccountName: 'default',
    volumes: [
      {
        name: 'token',
        projected: { sources: [{ serviceAccountToken: { path: 'token', audience: 'vault', expirationSeconds: 600 } }] },
      },
    ],
    containers: [
      {
        name: 'main',
        image: 'caisson.dev/host',
        command: [
          'sh',
          '-c',
          'last=; while :; do now=$(cat /token/token); [ "$now" = "$last" ] || echo "$now"; last=$now; sleep 0.1; done',
        ],
        volumeMounts: [{ name: 'token', mountPath: '/token' }],
      },
    ],
  })
  const tokens = async () => (await node.log('tokens')).split('\n').slice(0, -1)
  await expect.poll(async () => (await tokens()).length, { timeout: 20_000 }).toBe(1)
  // Not before four fifths of its time.
  ahead = 470_000
  await touch()
  expect((await tokens()).length).toBe(1)
  ahead = 490_000
  await touch()
  await expect.poll(async () => (await tokens()).length, { timeout: 20_000 }).toBe(2)
  const [first, second] = await tokens()
  expect(second).not.toBe(first)
  for (const token of [first, second]) {
    const { status } = await node.client.create(resources.tokenReviews, {
      metadata: {},
      spec: { token: token ?? '', audiences: ['vault'] },
    })
    expect(status).toMatchObject({
      authenticated: true,
      audiences: ['vault'],
      user: { username: 'system:serviceaccount:default:default' },
    })
  }
})

/** Timers run on the machine's clock: whatever changes has the Pod looked at. */
async function touch(): Promise<void> {
  await node.client.patch(resources.pods, 'tokens', { metadata: { labels: { ahead: String(ahead) } } }, at)
  await node.until('tokens', ({ metadata }) => metadata.labels?.['ahead'] === String(ahead))
  await node.kubelet.idle()
}
