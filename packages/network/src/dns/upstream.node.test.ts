import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createUpstream, type Upstream } from './upstream.ts'

const SERVER = '127.9.9.53'

/** Of which 10.0.N.… are one namespace; its server hears every query, and answers those of 13 bytes. */
async function startUpstream(
  stack: AsyncDisposableStack,
): Promise<{ upstream: Upstream; heard(count: number): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-upstream-'))
  stack.defer(() => rm(directory, { recursive: true }))
  const server = createSocket('udp4')
  let heard = 0
  server.on('message', (message, { port, address }) => {
    heard++
    if (message.length === 13) server.send(message, port, address)
  })
  server.bind(53, SERVER)
  await once(server, 'listening')
  stack.defer(() => void server.close())
  const file = join(directory, 'resolv.conf')
  await writeFile(file, `nameserver ${SERVER}\n`)
  return {
    upstream: createUpstream((ip) => ip.split('.')[2] ?? '', file),
    async heard(count) {
      for (;;) {
        if (heard >= count) return
        await once(server, 'message')
      }
    },
  }
}

test('one sandbox that asks for many names at once keeps nobody else from asking', async () => {
  await using stack = new AsyncDisposableStack()
  const { upstream, heard } = await startUpstream(stack)
  const stop = new AbortController()
  const ask = (ip: string, bytes: number): Promise<Buffer> =>
    upstream.ask(Buffer.alloc(bytes), { ip, tcp: false, signal: stop.signal })
  const waiting = Array.from({ length: 16 }, () => ask('10.0.0.2', 12))
  await expect(ask('10.0.0.2', 13)).rejects.toThrow('too many names are being looked up')
  expect(await ask('10.0.0.3', 13)).toEqual(Buffer.alloc(13))
  await heard(17)
  stop.abort()
  const ended = await Promise.allSettled(waiting)
  expect(ended.map(({ status }) => status)).toEqual(waiting.map(() => 'rejected'))
  await expect(
    upstream.ask(Buffer.alloc(13), { ip: '10.0.0.2', tcp: false, signal: AbortSignal.timeout(5_000) }),
  ).resolves.toHaveLength(13)
})

test('the sandboxes of one namespace that ask for names of a domain that says nothing keep nobody in another from asking', async () => {
  await using stack = new AsyncDisposableStack()
  const { upstream, heard } = await startUpstream(stack)
  const stop = new AbortController()
  const ask = (ip: string, bytes: number): Promise<Buffer> =>
    upstream.ask(Buffer.alloc(bytes), { ip, tcp: false, signal: stop.signal })
  const waiting: Promise<PromiseSettledResult<Buffer>[]>[] = []
  for (let sandbox = 1; sandbox <= 16; sandbox++) {
    waiting.push(Promise.allSettled(Array.from({ length: 16 }, () => ask(`10.0.0.${sandbox}`, 12))))
    await heard(16 * sandbox)
  }
  await expect(ask('10.0.0.100', 13)).rejects.toThrow('too many names are being looked up')
  expect(await ask('10.0.1.2', 13)).toEqual(Buffer.alloc(13))
  stop.abort()
  const ended = (await Promise.all(waiting)).flat()
  expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['rejected']))
})
