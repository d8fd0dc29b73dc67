import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { useScriptedServers } from './testing/scripted-fixture.ts'
import { type Script, sendJson } from './testing/scripted-server.ts'

const { serve, open } = useScriptedServers()

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** What has arrived until the stream broke, and how it broke. */
async function collectUntilError<T>(items: AsyncIterable<T>): Promise<{ items: T[]; error: unknown }> {
  const all: T[] = []
  try {
    for await (const item of items) all.push(item)
  } catch (error) {
    return { items: all, error }
  }
  throw new Error('the stream ended without an error')
}

const PODS = '/api/v1/pods'
const event = (name: string) => ({ type: 'ADDED', object: { kind: 'Pod', apiVersion: 'v1', metadata: { name } } })
const line = (name: string) => `${JSON.stringify(event(name))}\n`
const stream = { 'content-type': 'application/json' }

describe('watches', () => {
  test('arrive whole however the bytes are cut', async () => {
    const server = await serve(async (_, response) => {
      response.writeHead(200, stream)
      const bytes = Buffer.from(line('größe-💧') + line('second'))
      for (const byte of bytes) {
        response.write(Buffer.of(byte))
        await new Promise((resolve) => setImmediate(resolve))
      }
      response.end()
    })
    const events = await collect(open(server.connection).watch({ method: 'GET', path: PODS }))
    expect(events).toEqual([event('größe-💧'), event('second')])
  })

  test('have connections of their own and say when they are accepted', async () => {
    const server = await serve((request, response) => {
      if (request.url === PODS) sendJson(response, 200, {})
      else {
        response.writeHead(200, stream)
        response.flushHeaders()
      }
    })
    const transport = open(server.connection, { connections: 1 })
    const abort = new AbortController()
    const opened = Promise.withResolvers<void>()
    const events = collect(
      transport.watch({ method: 'GET', path: '/watch', signal: abort.signal, onOpen: opened.resolve }),
    )
    await opened.promise
    expect(await transport.request({ method: 'GET', path: PODS })).toMatchObject({ status: 200 })
    const closed = once(server.connections[0] ?? expect.fail(), 'close')
    abort.abort(new Error('enough'))
    await expect(events).rejects.toThrow('enough')
    await closed
  })

  test.each<[string, Script, string]>([
    [
      'resets',
      (request, response) => {
        response.writeHead(200, stream)
        response.write(line('a'), () => setImmediate(() => request.socket.destroy()))
      },
      'lost',
    ],
    [
      'goes silent',
      (_, response) => {
        response.writeHead(200, stream)
        response.write(line('a'))
      },
      'silent',
    ],
    [
      'ends in the middle of a line',
      (_, response) => {
        response.writeHead(200, stream)
        response.end(`${line('a')}{"type":`)
      },
      'lost',
    ],
    [
      'sends a line without an end',
      (_, response) => {
        response.writeHead(200, stream)
        response.write(line('a'))
        response.write('x'.repeat(100_000))
      },
      'too-large',
    ],
    [
      'sends garbage',
      (_, response) => {
        response.writeHead(200, stream)
        response.end(`${line('a')}}{\n`)
      },
      'malformed',
    ],
    [
      'sends JSON that is no event',
      (_, response) => {
        response.writeHead(200, stream)
        response.end(`${line('a')}{"type":"ADDED","object":{"kind":"Pod"}}\n`)
      },
      'malformed',
    ],
  ])('break when the server %s', async (_name, script, code) => {
    const server = await serve(script)
    const transport = open(server.connection, { maxEvent: 50_000, ...(code === 'silent' && { watchIdleTimeout: 300 }) })
    const { items, error } = await collectUntilError(transport.watch({ method: 'GET', path: PODS }))
    expect(error).toMatchObject({ name: 'TransportError', code })
    expect(items.filter((each) => each.type !== 'ADDED')).toEqual([])
  })

  test.each<[string, Script, unknown]>([
    [
      'a Status',
      (_, response) => sendJson(response, 410, { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }),
      {
        name: 'ApiError',
        code: 410,
        reason: 'Expired',
        message: 'too old',
      },
    ],
    [
      'a page of a proxy',
      (_, response) => {
        response.writeHead(502, { 'content-type': 'text/html' })
        response.end('<h1>Bad Gateway</h1>')
      },
      {
        name: 'ApiError',
        code: 502,
        reason: 'Unknown',
        message: 'the server answered 502 without saying why: <h1>Bad Gateway</h1>',
      },
    ],
    [
      'another content type',
      (_, response) => {
        response.writeHead(200, { 'content-type': 'text/html' })
        response.end('<h1>Welcome</h1>')
      },
      { name: 'TransportError', code: 'malformed' },
    ],
  ])('that are answered with %s throw', async (_name, script, error) => {
    const server = await serve(script)
    await expect(collect(open(server.connection).watch({ method: 'GET', path: PODS }))).rejects.toMatchObject(
      error as object,
    )
  })

  test('do not read ahead of a slow reader without bound', async () => {
    const block = Buffer.alloc(64 * 1024, 'x')
    let sent = 0
    const server = await serve(async (request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      while (!request.socket.destroyed && sent < 2000) {
        sent++
        if (!response.write(block)) await Promise.race([once(response, 'drain'), once(request.socket, 'close')])
      }
    })
    const transport = open(server.connection)
    const chunks = transport.stream({ method: 'GET', path: '/log' })[Symbol.asyncIterator]()
    await chunks.next()
    // Settled: the server has not been able to send any more for several turns of both sides' loops.
    let before = -1
    await expect
      .poll(
        () => {
          const still = sent === before
          before = sent
          return still
        },
        { interval: 200, timeout: 20_000 },
      )
      .toBe(true)
    expect(sent * block.length).toBeLessThan(32 * 1024 * 1024)
    await chunks.return?.()
  })

  test('end when the transport is disposed', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, stream)
      response.flushHeaders()
    })
    const transport = open(server.connection)
    const opened = Promise.withResolvers<void>()
    const events = collect(transport.watch({ method: 'GET', path: PODS, onOpen: opened.resolve }))
    await opened.promise
    await transport[Symbol.asyncDispose]()
    await expect(events).rejects.toMatchObject({ code: 'closed' })
    await expect(transport.request({ method: 'GET', path: PODS })).rejects.toMatchObject({ code: 'closed' })
  })
})
