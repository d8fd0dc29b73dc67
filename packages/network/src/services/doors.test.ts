import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type GatewayDoor, openApiDoor } from './doors.ts'

let arrived: Socket[]
let door: GatewayDoor
let time: number
let stack: AsyncDisposableStack
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  arrived = []
  time = 0
  const api = createServer((socket) => {
    arrived.push(socket)
    socket.on('error', () => socket.destroy())
    socket.write('api')
  }).listen(0, '127.0.0.1')
  await once(api, 'listening')
  stack.defer(() => {
    for (const socket of arrived) socket.destroy()
    api.close()
  })
  const { port } = api.address() as AddressInfo
  door = stack.use(
    await openApiDoor({ host: '127.0.0.1', api: { host: '127.0.0.1', port }, namespaceOf, now: () => time }),
  )
})
afterEach(() => stack.disposeAsync())

/** Addresses of one namespace have the third number in common. */
function namespaceOf(ip: string): string {
  return ip.split('.')[2] ?? ''
}

/** What a sandbox hears first on a connection: `api`, or nothing where it is closed. */
async function dial(localAddress: string): Promise<{ said: string; socket: Socket }> {
  const socket = connect({ host: '127.0.0.1', port: door.port, localAddress })
  stack.defer(() => void socket.destroy())
  const { promise, resolve } = Promise.withResolvers<string>()
  socket.on('error', () => {}).on('close', () => resolve(''))
  socket.on('data', (data) => resolve(String(data)))
  return { said: await promise, socket }
}

test('a sandbox that connects and drops again and again is turned away, and nobody else is', async () => {
  const heard: string[] = []
  for (let count = 0; count < 60; count++) {
    const { said, socket } = await dial('127.0.0.2')
    heard.push(said)
    socket.destroy()
    if (said !== '') await once(arrived.at(-1) as Socket, 'close')
  }
  expect(heard).toEqual([...Array.from({ length: 50 }, () => 'api'), ...Array.from({ length: 10 }, () => '')])
  expect(arrived.length).toBe(50)
  expect((await dial('127.0.0.3')).said).toBe('api')
  time = 1_000
  expect((await dial('127.0.0.2')).said).toBe('api')
})

test('the API server sees each sandbox with an address of its own', async () => {
  for (const address of ['127.0.0.2', '127.213.0.7']) {
    await dial(address)
    expect(arrived.at(-1)?.remoteAddress).toBe(address)
  }
})

test('a sandbox holds 32 connections at most', async () => {
  for (let count = 0; count < 32; count++) expect((await dial('127.0.0.2')).said).toBe('api')
  expect((await dial('127.0.0.2')).said).toBe('')
  expect((await dial('127.0.0.3')).said).toBe('api')
})

test('the sandboxes of one namespace together leave room for those of another', async () => {
  for (let sandbox = 1; sandbox <= 32; sandbox++) {
    const dialled = await Promise.all(Array.from({ length: 32 }, () => dial(`127.0.1.${sandbox}`)))
    expect(new Set(dialled.map(({ said }) => said))).toEqual(new Set(['api']))
  }
  expect((await dial('127.0.1.100')).said).toBe('')
  expect((await dial('127.0.2.1')).said).toBe('api')
})
