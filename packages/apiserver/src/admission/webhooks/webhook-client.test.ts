import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { SWITCHING_PATH, startWebhookServer } from '../../testing/webhook-server.ts'
import { createReviewCaller, createWebhookClient } from './webhook-client.ts'

test('the connection to a Service that accepts it and never speaks TLS is given up', async () => {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {}).resume()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const { port } = server.address() as AddressInfo
    const dialed: Socket[] = []
    using client = createWebhookClient(async () => {
      const socket = connect(port, '127.0.0.1')
      dialed.push(socket)
      await once(socket, 'connect')
      return socket
    }, 100)
    const asked = createReviewCaller(client)({
      client: { service: { namespace: 'default', name: 'hook' } },
      version: 'v1',
      attributes: {},
      timeoutSeconds: 10,
      mutating: false,
    })
    await expect(asked).rejects.toThrow(/failed to call webhook: .*TLS handshake timeout/)
    const [socket] = dialed
    if (!socket?.closed) await once(socket as Socket, 'close')
    expect([dialed.length, socket?.destroyed]).toEqual([1, true])
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
})

test('a webhook that answers in another protocol has failed', async () => {
  await using server = await startWebhookServer(() => ({ allowed: true }))
  using client = createWebhookClient(undefined)
  const asked = createReviewCaller(client)({
    client: { url: `${server.url}${SWITCHING_PATH}`, caBundle: server.caBundle },
    version: 'v1',
    attributes: {},
    timeoutSeconds: 1,
    mutating: false,
  })
  await expect(asked).rejects.toThrow('failed to call webhook: the server responded with the status code 101')
})

test('a webhook that is being asked is not cut off by others, however many there are', async () => {
  const release = Promise.withResolvers<void>()
  await using server = await startWebhookServer(async (path) => {
    if (path === '/slow') await release.promise
    return { allowed: true }
  })
  using client = createWebhookClient(undefined)
  const ask = (path: string, padding: number) =>
    createReviewCaller(client)({
      client: {
        url: `${server.url}${path}`,
        caBundle: Buffer.from(`${Buffer.from(server.caBundle, 'base64').toString()}${'\n'.repeat(padding)}`).toString(
          'base64',
        ),
      },
      version: 'v1',
      attributes: {},
      timeoutSeconds: 30,
      mutating: false,
    })
  const slow = ask('/slow', 0)
  await expect.poll(() => server.seen).toHaveLength(1)
  for (let padding = 1; padding <= 100; padding++) await ask('/quick', padding)
  release.resolve()
  expect(await slow).toMatchObject({ allowed: true })
})
