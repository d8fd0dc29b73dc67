import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { acceptWebSocket } from './accept-web-socket.ts'

test('a client that has hung up while its container was waited for is not waited for', async () => {
  const socket = new Socket()
  const request = new IncomingMessage(socket)
  request.method = 'GET'
  request.headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  }
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.destroy()
  await closed
  expect(await acceptWebSocket({ request, socket, head: Buffer.alloc(0) }, '')).toBeUndefined()
}, 3000)
