import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { createClient, createHttpTransport } from '@caisson/client'
import { expect, test } from 'vitest'
import { carryConnection } from './carry-connection.ts'

test('a connection to a Pod is let go of when the client is gone before it is made', async () => {
  await using stack = new AsyncDisposableStack()
  const asked = Promise.withResolvers<{ path: string | undefined; socket: Duplex }>()
  const server = createHttpServer().on('upgrade', ({ url }, socket) => asked.resolve({ path: url, socket }))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  stack.defer(() => {
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const transport = stack.use(createHttpTransport({ server: `http://127.0.0.1:${port}`, namespace: 'default' }))
  const { signal } = new AbortController()
  const entrance = createServer({ allowHalfOpen: true }, (socket) => {
    void carryConnection(createClient(transport), socket, { pod: 'web', namespace: 'default', port: 8080, signal })
  })
  await once(entrance.listen(0, '127.0.0.1'), 'listening')
  stack.defer(() => {
    entrance.close()
  })
  const client = connect((entrance.address() as AddressInfo).port, '127.0.0.1')
  const { path, socket } = await asked.promise
  expect(path).toBe('/api/v1/namespaces/default/pods/web/portforward?ports=8080')
  client.resetAndDestroy()
  await once(socket.resume(), 'end')
  socket.destroy()
})
