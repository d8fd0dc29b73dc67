import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { finished } from 'node:stream/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { writeChannels } from './channel-writer.ts'

let resources: AsyncDisposableStack
beforeEach(() => {
  resources = new AsyncDisposableStack()
})
afterEach(() => resources.disposeAsync())

/** Both ends of a connection. */
async function connect(): Promise<{ socket: WebSocket; peer: WebSocket }> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  resources.defer(() => {
    server.close()
  })
  await once(server, 'listening')
  const connection = once(server, 'connection') as Promise<[WebSocket]>
  const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const [[peer]] = await Promise.all([connection, once(socket, 'open')])
  for (const end of [socket, peer]) end.on('error', () => undefined)
  resources.defer(() => socket.terminate())
  return { socket, peer }
}

const CHUNK = fc
  .tuple(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 0, max: 255 }))
  .map(([length, byte]) => Buffer.alloc(length, byte))

test.each(['binary', 'base64'] as const)(
  'everything arrives, in order, in messages that are no longer than clients read (%s)',
  async (encoding) => {
    const { socket, peer } = await connect()
    const writer = writeChannels(socket, { encoding })
    let heard: Buffer[] = []
    peer.on('message', (message: Buffer, isBinary: boolean) => {
      expect(isBinary).toBe(encoding === 'binary')
      const channel = encoding === 'binary' ? message[0] : Number(message.toString('latin1', 0, 1))
      if (channel === 1)
        heard.push(encoding === 'binary' ? message.subarray(1) : Buffer.from(message.toString('latin1', 1), 'base64'))
      if (channel === 3) peer.emit('all')
    })
    await fc.assert(
      fc.asyncProperty(fc.array(CHUNK, { maxLength: 8 }), async (chunks) => {
        heard = []
        const all = once(peer, 'all')
        const output = writer.output(1)
        for (const chunk of chunks) output.write(chunk)
        output.end()
        await finished(output)
        await writer.send(3, Buffer.alloc(0))
        await all
        expect(Buffer.concat(heard).equals(Buffer.concat(chunks))).toBe(true)
        expect(heard.every(({ length }) => length > 0 && length <= 32 * 1024)).toBe(true)
      }),
      { numRuns: 30 },
    )
  },
)

test('what a peer does not read stays with its writer, but for a bounded part', async () => {
  const { socket, peer } = await connect()
  let received = 0
  peer.on('message', (message: Buffer) => {
    received += message.length - 1
  })
  peer.pause()
  const output = writeChannels(socket).output(1)
  const chunk = Buffer.alloc(64 * 1024, 'x')
  const chunks = 1024
  let most = 0
  async function writeAll(): Promise<void> {
    for (let index = 0; index < chunks; index++) {
      await new Promise<void>((resolve, reject) => output.write(chunk, (error) => (error ? reject(error) : resolve())))
      most = Math.max(most, socket.bufferedAmount)
    }
  }
  const written = writeAll()
  await expect.poll(() => socket.bufferedAmount).toBeGreaterThan(256 * 1024)
  peer.resume()
  await written
  expect(most).toBeLessThanOrEqual(256 * 1024)
  await expect.poll(() => received).toBe(chunks * chunk.length)
})

test('its end waits for the network, and for what is to be said of it', async () => {
  const { socket, peer } = await connect()
  peer.pause()
  const writer = writeChannels(socket)
  const said: string[] = []
  const output = writer.output(1, async () => void said.push('final'))
  output.end(Buffer.alloc(16 * 1024 * 1024))
  const end = finished(output).then(() => said.push('finished'))
  const flushed = writer.flushed().then(() => said.push('flushed'))
  await new Promise((resolve) => setImmediate(resolve))
  expect(said).toEqual([])
  peer.resume()
  await Promise.all([end, flushed])
  expect(said.at(-1)).toBe('finished')
  expect(said).toContain('final')
})

test('writes fail where there is nobody any more', async () => {
  const { socket } = await connect()
  const writer = writeChannels(socket)
  socket.terminate()
  await once(socket, 'close')
  const output = writer.output(1)
  const error = await new Promise<Error | null | undefined>((resolve) => output.write('x', resolve))
  expect(error?.message).toMatch(/^WebSocket is not open/)
  await expect(writer.flushed()).rejects.toThrow('WebSocket is not open')
})
