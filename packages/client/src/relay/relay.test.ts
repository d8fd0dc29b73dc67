import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { PassThrough } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { relayUpgrade } from './relay.ts'

test('nothing is waited for, and no connection kept, for a client that was gone before', async () => {
  const silent = createServer()
  await once(silent.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void silent.close())
  const connection = connect((silent.address() as AddressInfo).port, '127.0.0.1')
  await once(connection, 'connect')
  const socket = new PassThrough()
  socket.destroy()
  await once(socket, 'close')
  const headers = ['Connection', 'Upgrade', 'Upgrade', 'websocket']
  const broke = (cause: unknown) => new Error('it broke', { cause })
  const carried = relayUpgrade(
    { socket, head: Buffer.alloc(0) },
    { connection, method: 'GET', url: '/', headers, broke },
  )
  await expect(carried).rejects.toThrow('it broke')
  expect(connection.destroyed).toBe(true)
})
