import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createUpstream } from './upstream.ts'

const SERVER = '127.9.9.53'

test('one sandbox that asks for many names at once keeps nobody else from asking', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-upstream-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(directory, { recursive: true }))
  // It hears every query and answers those of 13 bytes.
  const server = createSocket('udp4')
  let heard = 0
  const all = Promise.withResolvers<void>()
  server.on('message', (message, { port, address }) => {
    if (++heard === 17) all.resolve()
    if (message.length === 13) server.send(message, port, address)
  })
  server.bind(53, SERVER)
  await once(server, 'listening')
  stack.defer(() => void server.close())
  const file = join(directory, 'resolv.conf')
  await writeFile(file, `nameserver ${SERVER}\n`)
  const upstream = createUpstream(file)
  const stop = new AbortController()
  const ask = (ip: string, bytes: number): Promise<Buffer> =>
    upstream.ask(Buffer.alloc(bytes), { ip, tcp: false, signal: stop.signal })
  const waiting = Array.from({ length: 16 }, () => ask('10.0.0.2', 12))
  await expect(ask('10.0.0.2', 13)).rejects.toThrow('too many names are being looked up')
  expect(await ask('10.0.0.3', 13)).toEqual(Buffer.alloc(13))
  await all.promise
  stop.abort()
  const ended = await Promise.allSettled(waiting)
  expect(ended.map(({ status }) => status)).toEqual(waiting.map(() => 'rejected'))
  await expect(
    upstream.ask(Buffer.alloc(13), { ip: '10.0.0.2', tcp: false, signal: AbortSignal.timeout(5_000) }),
  ).resolves.toHaveLength(13)
})
