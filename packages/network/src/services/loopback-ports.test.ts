import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freePort } from '../testing/free-port.ts'
import { createLoopbackPorts, type LoopbackPort, type LoopbackPorts } from './loopback-ports.ts'

let ports: LoopbackPorts
beforeEach(() => {
  ports = createLoopbackPorts((error) => {
    throw error
  })
})
afterEach(() => ports[Symbol.asyncDispose]())

test('connections are carried to the target, until the port is closed', async () => {
  const server = createServer((socket) => socket.end('pod')).listen(0, '127.0.0.2')
  await once(server, 'listening')
  const port = await freePort()
  const target = { ip: '127.0.0.2', port: (server.address() as AddressInfo).port }
  await ports.open('a', { protocol: 'tcp', address: '127.0.0.1', port, target: () => target })
  expect(await text(connect({ host: '127.0.0.1', port }))).toBe('pod')
  // The same place again, leading nowhere.
  await ports.open('a', { protocol: 'tcp', address: '127.0.0.1', port, target: () => undefined })
  expect(await text(connect({ host: '127.0.0.1', port }))).toBe('')
  await ports.close('a')
  await expect(text(connect({ host: '127.0.0.1', port }))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  server.close()
})

test.each(['opens the same place', 'closes it first'])(
  'who connects to what sleeps is carried to it once it %s, and the place is held again when that has closed',
  async (how) => {
    const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.2')
    await once(server, 'listening')
    const place = { protocol: 'tcp', address: '127.0.0.1', port: await freePort() } as const
    const own = { ip: '127.0.0.2', port: (server.address() as AddressInfo).port }
    const woken = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    const sleeping: LoopbackPort = {
      ...place,
      placeholder: true,
      target: () => undefined,
      async awaken() {
        asked.resolve()
        await woken.promise
        return { ip: place.address, port: place.port }
      },
    }
    await ports.keep('sleeping', sleeping)
    const client = connect({ host: place.address, port: place.port, allowHalfOpen: true })
    client.end('said while it slept')
    await asked.promise
    if (how === 'closes it first') await ports.close('sleeping')
    await ports.open('awake', { ...place, target: () => own })
    woken.resolve()
    expect(await text(client)).toBe('said while it slept')

    await ports.close('awake')
    if (how === 'closes it first') await ports.keep('sleeping', sleeping)
    // Nobody has opened it by now: it would be carried to itself.
    expect(await text(connect({ host: place.address, port: place.port }))).toBe('')
    server.close()
  },
)

test('who connects to what has its place, and has yet to wake, waits with those who came before', async () => {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.2')
  await once(server, 'listening')
  const place = { protocol: 'tcp', address: '127.0.0.1', port: await freePort() } as const
  const own = { ip: '127.0.0.2', port: (server.address() as AddressInfo).port }
  const [asked, woken] = [Promise.withResolvers<void>(), Promise.withResolvers<typeof own>()]
  await ports.keep('sleeping', {
    ...place,
    placeholder: true,
    target: () => undefined,
    awaken() {
      asked.resolve()
      return woken.promise
    },
  })
  const said = (what: string): Promise<string> => {
    const client = connect({ host: place.address, port: place.port, allowHalfOpen: true })
    client.end(what)
    return text(client)
  }
  const first = said('first')
  await asked.promise
  // There, and not answering yet.
  const looked = Promise.withResolvers<void>()
  let target: typeof own | undefined
  await ports.open('waking', {
    ...place,
    target() {
      looked.resolve()
      return target
    },
  })
  const second = said('second')
  await looked.promise
  target = own
  woken.resolve(own)
  expect(await Promise.all([first, second])).toEqual(['first', 'second'])
  server.close()
})

test.each(['comes', 'does not come'])('who connects where nobody is yet waits for a target, which %s', async (how) => {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.2')
  await once(server, 'listening')
  const own = { ip: '127.0.0.2', port: (server.address() as AddressInfo).port }
  const awakened = Promise.withResolvers<typeof own>()
  const asked = Promise.withResolvers<void>()
  const place = { protocol: 'tcp', address: '127.0.0.1', port: await freePort() } as const
  await ports.keep('a', { ...place, target: () => undefined })
  await ports.keep('a', {
    ...place,
    target: () => undefined,
    awaken() {
      asked.resolve()
      return awakened.promise
    },
  })
  const client = connect({ host: place.address, port: place.port, allowHalfOpen: true })
  client.end('said before')
  await asked.promise
  // Another cannot have the place.
  await expect(ports.open('b', { ...place, target: () => own })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  if (how === 'comes') awakened.resolve(own)
  else awakened.reject(new Error('it does not run'))
  expect(await text(client)).toBe(how === 'comes' ? 'said before' : '')
  server.close()
})

test('a port that somebody else has is an error', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const asked = { protocol: 'tcp' as const, address: '127.0.0.1', port, target: () => undefined }
  await expect(ports.open('a', asked)).rejects.toMatchObject({ code: 'EADDRINUSE' })
  server.close()
})

test.each(['tcp', 'udp'] as const)(
  'a %s port to be kept that another program has is opened when that has gone, and told of once',
  async (protocol) => {
    const port = await freePort()
    const other = protocol === 'tcp' ? createServer().listen(port, '127.0.0.1') : createSocket('udp4')
    if ('bind' in other) other.bind(port, '127.0.0.1')
    await once(other, 'listening')
    const told: string[] = []
    await using kept = createLoopbackPorts((error, where) => told.push(`${where}: ${(error as Error).message}`), {
      retryMs: 20,
    })
    let asked = 0
    const target = (): undefined => void asked++
    await kept.keep('k', { protocol, address: '127.0.0.1', port, target })
    await new Promise<void>((resolve) => other.close(() => resolve()))
    const ask = async (): Promise<number> => {
      if (protocol === 'tcp') await text(connect({ host: '127.0.0.1', port })).catch(() => '')
      else {
        const sender = createSocket('udp4')
        await new Promise((resolve) => sender.send('?', port, '127.0.0.1', resolve))
        sender.close()
      }
      return asked
    }
    await expect.poll(ask).toBeGreaterThan(0)
    expect(told).toEqual([expect.stringMatching(/^k: .*EADDRINUSE/)])
  },
)

test('a port to be kept that is closed is tried no more', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await using kept = createLoopbackPorts(() => {}, { retryMs: 1 })
  await kept.keep('k', { protocol: 'tcp', address: '127.0.0.1', port, target: () => undefined })
  await kept.close('k')
  await new Promise((resolve) => server.close(resolve))
  // One of another key finds what is free, and would not beside it.
  await kept.open('other', { protocol: 'tcp', address: '127.0.0.1', port, target: () => undefined })
})

test('datagrams are answered to whoever sent them', async () => {
  const server = createSocket('udp4')
  server.on('message', (message, from) => server.send(`${String(message)}!`, from.port, from.address))
  server.bind(0, '127.0.0.2')
  await once(server, 'listening')
  const port = await freePort()
  const target = { ip: '127.0.0.2', port: server.address().port }
  await ports.open('u', { protocol: 'udp', address: '127.0.0.1', port, target: () => target })
  const senders = [createSocket('udp4'), createSocket('udp4')]
  for (const [index, sender] of senders.entries()) {
    sender.send(`${index}`, port, '127.0.0.1')
    expect(String(((await once(sender, 'message')) as [Buffer])[0])).toBe(`${index}!`)
    sender.close()
  }
  server.close()
})

test('datagrams to where no way leads are lost, and nothing else', async () => {
  const port = await freePort()
  // Nobody may send there who has not asked for it.
  const target = { ip: '255.255.255.255', port: 9 }
  const asked = Promise.withResolvers<void>()
  let count = 0
  await ports.open('u', {
    protocol: 'udp',
    address: '127.0.0.1',
    port,
    target() {
      if (++count === 2) asked.resolve()
      return target
    },
  })
  const sender = createSocket('udp4')
  const again = setInterval(() => sender.send('?', port, '127.0.0.1'), 20)
  // The second one comes when the first has been given up.
  await asked.promise
  clearInterval(again)
  sender.close()
})
