import { expect, test } from 'vitest'
import { createClient } from './client.ts'
import { attachToPod } from './remote-command.ts'
import { useScriptedServers } from './testing/scripted-fixture.ts'
import { sendJson } from './testing/scripted-server.ts'
import { onChannel, serveWebSockets } from './testing/web-socket-script.ts'

const { serve, open } = useScriptedServers()
const GET = { method: 'GET', path: '/api/v1/pods' } as const

test('a request takes the connection that was made ahead', async () => {
  const server = await serve((_, response) => sendJson(response, 200, {}))
  const transport = open(server.connection)
  await transport.connectAhead?.()
  await transport.request(GET)
  expect(server.requests.map(({ socket }) => server.connections.indexOf(socket))).toEqual([0])
  expect(server.connections).toHaveLength(1)
})

test('one that is used ahead has answered a request, and the next one is written without a wait for it', async () => {
  const server = await serve((_, response) => sendJson(response, 200, {}))
  const transport = open(server.connection)
  await transport.connectAhead?.({ use: true })
  const order: string[] = []
  const answered = transport.request({ ...GET, onSent: () => order.push('sent') }).then(() => order.push('answered'))
  await answered
  expect(order).toEqual(['sent', 'answered'])
  expect(server.requests.map(({ url }) => url)).toEqual(['/version', '/api/v1/pods'])
  expect(server.connections).toHaveLength(1)
})

test('so does a WebSocket, and its handshake is an abbreviated one', async () => {
  const server = await serve((_, response) => sendJson(response, 200, {}))
  let reused: (boolean | undefined)[] = []
  serveWebSockets(server, ['v5.channel.k8s.io'], ({ socket }) => {
    reused = server.connections.map((connection) => connection.isSessionReused())
    socket.send(onChannel(3, '{"status":"Success"}'))
    socket.close()
  })
  const transport = open(server.connection)
  await transport.request(GET)
  await transport.connectAhead?.({ webSocket: true })
  const command = await attachToPod(createClient(transport), 'web', { namespace: 'n' })
  command.stdout?.resume()
  command.stderr?.resume()
  await command.exit
  expect(reused).toEqual([false, true])
})

test('one that the server has closed is not used', async () => {
  const server = await serve((_, response) => sendJson(response, 200, {}))
  const transport = open(server.connection)
  await transport.connectAhead?.()
  await expect.poll(() => server.connections.length).toBe(1)
  const [first] = server.connections
  first?.destroy()
  // Its end has to come here first: one more connection's handshake is behind it.
  await transport.connectAhead?.()
  expect(await transport.request(GET)).toMatchObject({ status: 200 })
  expect(server.requests.map(({ socket }) => server.connections.indexOf(socket))).toEqual([1])
})

test('a server that cannot be reached is the matter of the request', async () => {
  const server = await serve()
  await server[Symbol.asyncDispose]()
  const transport = open(server.connection)
  await transport.connectAhead?.()
  await expect(transport.request(GET)).rejects.toMatchObject({ code: 'unreachable' })
})

test('what nobody used ends with the transport', async () => {
  const server = await serve()
  const transport = open(server.connection)
  await transport.connectAhead?.()
  await expect.poll(() => server.connections.length).toBe(1)
  await transport[Symbol.asyncDispose]()
  await expect.poll(() => server.connections[0]?.destroyed).toBe(true)
  expect(server.requests).toEqual([])
})
