import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { createRateLimit } from '../rate-limit.ts'
import { startDnsServer } from './dns-server.ts'

/** Addresses of one namespace have the third number in common. */
function namespaceOf(ip: string): string {
  return ip.split('.')[2] ?? ''
}

test('answers by UDP and, one query after the other, by TCP', async () => {
  await using server = await startDnsServer({
    host: '127.0.0.1',
    port: 0,
    namespaceOf,
    resolve: async (query, { tcp }) => Buffer.from(`${String(query)} ${tcp}`),
    onError: (error) => {
      throw error
    },
  })
  const udp = createSocket('udp4')
  udp.send('one', server.udpPort, '127.0.0.1')
  const [reply] = (await once(udp, 'message')) as [Buffer]
  udp.close()
  expect(String(reply)).toBe('one false')
  const tcp = connect({ host: '127.0.0.1', port: server.tcpPort })
  // In pieces, as networks deliver.
  for (const piece of ['\0', '\x03tw', 'o\0\x05th', 'ree']) tcp.write(piece)
  tcp.end()
  expect(String(await buffer(tcp))).toBe('\0\x08two true\0\x0athree true')
})

test('one that sends too much gets no answer, and keeps nobody else from theirs', async () => {
  let asked = 0
  const time = 0
  await using server = await startDnsServer({
    host: '127.0.0.1',
    port: 0,
    namespaceOf,
    now: () => time,
    resolve: async (query) => {
      asked++
      return query
    },
    onError: () => {},
  })
  const tcp = connect({ host: '127.0.0.1', port: server.tcpPort })
  const query = Buffer.from('\0\x01x')
  tcp.end(Buffer.concat(Array.from({ length: 300 }, () => query)))
  await buffer(tcp).catch(() => undefined)
  expect(asked).toBe(200)
  const other = connect({ host: '127.0.0.1', port: server.tcpPort, localAddress: '127.0.0.2' })
  other.end(query)
  expect(await buffer(other)).toEqual(query)
})

test('a limit comes back with time, and who has not asked for long is forgotten', () => {
  let time = 0
  const limit = createRateLimit({ perSecond: 10, burst: 2, now: () => time })
  expect([1, 2, 3].map(() => limit.take('one'))).toEqual([true, true, false])
  expect(limit.take('two')).toBe(true)
  time = 100
  expect([1, 2].map(() => limit.take('one'))).toEqual([true, false])
  time = 10_000
  expect([1, 2, 3].map(() => limit.take('one'))).toEqual([true, true, false])
})

test('one that sends its query byte by byte loses its place in time', async () => {
  await using server = await startDnsServer({
    host: '127.0.0.1',
    port: 0,
    namespaceOf,
    queryMs: 200,
    resolve: async (query) => query,
    onError: () => {},
  })
  const slow = connect({ host: '127.0.0.1', port: server.tcpPort })
  slow.on('error', () => {}).write('\0\x64')
  const dribble = setInterval(() => slow.write('x'), 20)
  // What is still being sent may be told that nobody takes it any more.
  await new Promise((resolve) => slow.once('close', resolve))
  clearInterval(dribble)
  // It had 100 bytes to send.
  expect(slow.bytesWritten).toBeLessThan(50)
})

test('a large answer counts for as many as the packets that it takes, and a namespace has so many', async () => {
  let asked = 0
  await using server = await startDnsServer({
    host: '127.0.0.1',
    port: 0,
    namespaceOf,
    now: () => 0,
    resolve: async (query) => {
      asked++
      return query.length > 1 ? Buffer.alloc(20 * 1_232) : query
    },
    onError: () => {},
  })
  const ask = async (localAddress: string, query: string, times: number): Promise<number> => {
    asked = 0
    const tcp = connect({ host: '127.0.0.1', port: server.tcpPort, localAddress })
    tcp.end(
      Buffer.concat(Array.from({ length: times }, () => Buffer.from(`\0${String.fromCharCode(query.length)}${query}`))),
    )
    await buffer(tcp).catch(() => undefined)
    return asked
  }
  // 21 each.
  expect(await ask('127.0.1.1', 'large', 20)).toBe(10)
  expect(await ask('127.0.1.1', 'x', 1)).toBe(0)
  const ofEach: number[] = []
  for (let sandbox = 2; sandbox <= 11; sandbox++) ofEach.push(await ask(`127.0.1.${sandbox}`, 'x', 200))
  expect(ofEach).toEqual([...Array.from({ length: 8 }, () => 200), 190, 0])
  expect(await ask('127.0.2.1', 'x', 1)).toBe(1)
})

test('the sandboxes of one namespace together leave connections for those of another', async () => {
  await using server = await startDnsServer({
    host: '127.0.0.1',
    port: 0,
    namespaceOf,
    resolve: async (query) => query,
    onError: () => {},
  })
  await using stack = new AsyncDisposableStack()
  const query = Buffer.from('\0\x01x')
  const answered = async (localAddress: string): Promise<boolean> => {
    const socket = connect({ host: '127.0.0.1', port: server.tcpPort, localAddress })
    stack.defer(() => void socket.destroy())
    const { promise, resolve } = Promise.withResolvers<boolean>()
    socket.on('error', () => {}).on('close', () => resolve(false))
    socket.on('data', () => resolve(true)).write(query)
    return await promise
  }
  const heard = await Promise.all(Array.from({ length: 33 * 8 }, (_, at) => answered(`127.0.1.${1 + (at >> 3)}`)))
  expect(heard.filter(Boolean)).toHaveLength(256)
  expect(await answered('127.0.1.100')).toBe(false)
  expect(await answered('127.0.2.1')).toBe(true)
})
