import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject, WatchEvent } from '@caisson/api'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { parseRequestInfo } from '../http/request-info.ts'
import type { InProcessServer } from '../in-process.ts'
import type { Resource } from '../registry/resource.ts'
import { openStore } from '../storage/sqlite-store.ts'
import { ADMINISTRATOR, type RunningServer, startServer } from '../testing/running-server.ts'
import type { Call, RunningWatch } from './call.ts'
import type { Environment } from './environment.ts'
import { acceptWatch } from './watch.ts'

const PATH = '/api/v1/namespaces/a/configmaps'

let directory: string
let server: RunningServer
let client: InProcessServer

async function start(window?: { events: number }): Promise<void> {
  directory = mkdtempSync(join(tmpdir(), 'watch-'))
  server = await startServer({ store: openStore({ directory, ...(window && { window }) }) })
  client = server.server.connect(ADMINISTRATOR)
  await client.request({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name: 'a' } } })
}

beforeEach(() => start())

afterEach(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

async function create(name: string, labels: Record<string, string> = {}, data: Record<string, string> = {}) {
  const { body } = await client.request({ method: 'POST', path: PATH, body: { metadata: { name, labels }, data } })
  return body as KubeObject
}

async function patch(name: string, body: object): Promise<void> {
  const patchType = 'application/merge-patch+json'
  expect((await client.request({ method: 'PATCH', path: `${PATH}/${name}`, body, patchType })).status).toBe(200)
}

async function remove(name: string): Promise<void> {
  expect((await client.request({ method: 'DELETE', path: `${PATH}/${name}` })).status).toBe(200)
}

interface HttpWatch {
  response: IncomingMessage
  /** The next `count` events. */
  take(count: number): Promise<WatchEvent[]>
  ended: Promise<void>
  close(): void
}

function watch(query: string, headers: Record<string, string> = {}): Promise<HttpWatch> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(`${server.url}${PATH}?watch=1${query && `&${query}`}`, {
      agent: server.agent,
      headers,
    })
    request.on('error', reject)
    request.on('response', (response) => {
      const events: WatchEvent[] = []
      let partial = ''
      let wake = () => {}
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        const lines = (partial + chunk).split('\n')
        partial = lines.pop() as string
        events.push(...lines.map((line) => JSON.parse(line) as WatchEvent))
        wake()
      })
      const ended = new Promise<void>((done) => response.on('close', done))
      resolve({
        response,
        ended,
        close: () => request.destroy(),
        async take(count) {
          while (events.length < count)
            await new Promise<void>((next) => {
              wake = next
            })
          return events.splice(0, count)
        },
      })
    })
    request.end()
  })
}

/** Begins a watch without any connection. `take` says whether it takes more. */
function begin(parameters: Record<string, string>, take: (event: WatchEvent) => boolean): RunningWatch {
  const query = { watch: '1', ...parameters }
  const call = { info: parseRequestInfo('GET', PATH, query), query } as unknown as Call
  const resource = server.server.registry.find('', 'v1', 'configmaps') as Resource
  return acceptWatch(call, resource, { store: server.store } as Environment).start({
    send: (message) => take(message as WatchEvent),
    end: () => undefined,
  })
}

const objectOf = (event: WatchEvent | undefined) => event?.object as KubeObject

const short = ({ type, object }: WatchEvent) => `${type} ${(object as KubeObject).metadata.name ?? ''}`.trim()

describe('a watch', () => {
  test('begins with what is there, and goes on with every change', async () => {
    await create('one')
    const watching = await watch('')
    expect((await watching.take(1)).map(short)).toEqual(['ADDED one'])
    await create('two')
    await patch('two', { data: { k: 'v' } })
    await remove('one')
    const events = await watching.take(3)
    expect(events.map(short)).toEqual(['ADDED two', 'MODIFIED two', 'DELETED one'])
    const versions = events.map(({ object }) => Number((object as KubeObject).metadata.resourceVersion))
    expect(versions).toEqual([...versions].sort((a, b) => a - b))
    watching.close()
  })

  test('whose event cannot be shown ends with what went wrong, and the others go on', async () => {
    const broken: string[] = []
    const whole: string[] = []
    const since = { resourceVersion: String(server.store.revision) }
    begin(since, (event) => {
      broken.push(event.type)
      if (event.type === 'ADDED') throw new TypeError('no such column')
      return true
    })
    begin(since, (event) => whole.push(short(event)) > 0)
    await create('one')
    await create('two')
    expect(whole).toEqual(['ADDED one', 'ADDED two'])
    expect(broken).toEqual(['ADDED', 'ERROR'])
  })

  test('from a revision has what came after it, of its namespace and name only', async () => {
    const one = await create('one')
    await client.request({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name: 'b' } } })
    await client.request({
      method: 'POST',
      path: '/api/v1/namespaces/b/configmaps',
      body: { metadata: { name: 'elsewhere' } },
    })
    await create('two')
    const watching = await watch(`resourceVersion=${one.metadata.resourceVersion}`)
    await create('three')
    expect((await watching.take(2)).map(short)).toEqual(['ADDED two', 'ADDED three'])
    watching.close()
    const named = await watch(
      `resourceVersion=${one.metadata.resourceVersion}&fieldSelector=${encodeURIComponent('metadata.name=three')}`,
    )
    expect((await named.take(1)).map(short)).toEqual(['ADDED three'])
    named.close()
  })

  test('with a selector sees arrivals and departures', async () => {
    const first = await create('one', { side: 'left' })
    const watching = await watch(`resourceVersion=${first.metadata.resourceVersion}&labelSelector=side%3Dright`)
    await patch('one', { metadata: { labels: { side: 'right' } } })
    await patch('one', { data: { k: 'v' } })
    await patch('one', { metadata: { labels: { side: 'left' } } })
    await remove('one')
    await create('end', { side: 'right' })
    const events = await watching.take(4)
    expect(events.map(short)).toEqual(['ADDED one', 'MODIFIED one', 'DELETED one', 'ADDED end'])
    const departed = events[2]?.object as KubeObject
    // The last state that matched, at the revision at which it left.
    expect([departed.metadata.labels, departed.metadata.resourceVersion]).toEqual([
      { side: 'right' },
      String(Number(objectOf(events[1]).metadata.resourceVersion) + 1),
    ])
    watching.close()
  })

  test('with sendInitialEvents marks their end', async () => {
    await create('one')
    const watching = await watch(
      'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=',
    )
    const [added, bookmark] = await watching.take(2)
    expect(short(added as WatchEvent)).toBe('ADDED one')
    expect(bookmark).toEqual({
      type: 'BOOKMARK',
      object: {
        kind: 'ConfigMap',
        apiVersion: 'v1',
        metadata: {
          resourceVersion: String(server.store.revision),
          annotations: { 'k8s.io/initial-events-end': 'true' },
        },
      },
    })
    watching.close()
  })

  test('is told what is there in the turn in which it begins: only a webhook has to be waited for', async () => {
    await create('one')
    await create('two')
    const sent: string[] = []
    using _ = begin({}, (event) => sent.push(short(event)) > 0)
    expect(sent).toEqual(['ADDED one', 'ADDED two'])
  })

  test('ends after its timeout, with a last bookmark', async () => {
    await create('one')
    const watching = await watch('timeoutSeconds=3&allowWatchBookmarks=true&resourceVersion=1')
    // Written elsewhere: only the bookmark tells.
    await client.request({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name: 'b' } } })
    await watching.ended
    const events = await watching.take(2)
    expect(events.map(short)).toEqual(['ADDED one', 'BOOKMARK'])
    expect(objectOf(events[1]).metadata.resourceVersion).toBe(String(server.store.revision))
  })

  test('lasts where its timeout is longer than a timer counts', async () => {
    const watching = await watch('timeoutSeconds=2147484&resourceVersion=0')
    const names = Array.from({ length: 20 }, (_, index) => `of-${index}`)
    for (const name of names) await create(name)
    const told = watching.take(names.length).then((events) => events.map(short))
    expect(await Promise.race([told, watching.ended])).toEqual(names.map((name) => `ADDED ${name}`))
    watching.close()
  })

  test('as a table names its columns once', async () => {
    const watching = await watch('', { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' })
    await create('one')
    await create('two')
    const tables = (await watching.take(2)).map(
      ({ object }) => object as unknown as { columnDefinitions: unknown[] | null },
    )
    expect(tables.map(({ columnDefinitions }) => columnDefinitions?.length ?? null)).toEqual([2, null])
    watching.close()
  })

  test.each<[query: string, expected: string]>([
    ['resourceVersion=x', '500'],
    ['resourceVersion=18446744073709551616', '500'],
    ['sendInitialEvents=true', '422'],
    ['resourceVersionMatch=NotOlderThan&resourceVersion=5', '422'],
    ['labelSelector=a,,b', '400'],
  ])('%s is refused', async (query, expected) => {
    const { status } = await server.request('GET', `${PATH}?watch=1&${query}`)
    expect(String(status)).toBe(expected)
  })
})

describe('a watch that cannot go on', () => {
  test('says that its revision is one of the future, however large', async () => {
    const future = '18446744073709551615'
    const watching = await watch(`sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=${future}`)
    const message = `Timeout: Too large resource version: ${future}, current: ${server.store.revision}`
    expect(await watching.take(1)).toMatchObject([{ type: 'ERROR', object: { reason: 'Timeout', message } }])
    await watching.ended
  })

  test('says that its revision has expired', async () => {
    await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
    await start({ events: 2 })
    for (const name of ['one', 'two', 'three', 'four']) await create(name)
    const watching = await watch('resourceVersion=2')
    const [event] = await watching.take(1)
    expect(event).toEqual({
      type: 'ERROR',
      object: {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'too old resource version: 2 (4)',
        reason: 'Expired',
        code: 410,
      },
    })
    await watching.ended
  })

  test('because its client does not read is paused, and goes on where it was', async () => {
    const first = await create('first')
    const watching = await watch(`resourceVersion=${first.metadata.resourceVersion}`)
    watching.response.pause()
    // Far more than sockets and the server buffer for one client; less than the window keeps.
    const payload = 'x'.repeat(500_000)
    for (let index = 0; index < 20; index++) await create(`big-${index}`, {}, { payload })
    watching.response.resume()
    const events = await watching.take(20)
    expect(events.map(short)).toEqual(Array.from({ length: 20 }, (_, index) => `ADDED big-${index}`))
    watching.close()
  })

  test('because its client does not take a bookmark is paused, too', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const sent: string[] = []
      let takes = true
      const running = begin({ allowWatchBookmarks: '1', resourceVersion: String(server.store.revision) }, (event) => {
        sent.push(short(event))
        return takes
      })
      vi.advanceTimersByTime(60_000)
      takes = false
      vi.advanceTimersByTime(60_000)
      vi.advanceTimersByTime(60_000)
      await create('one')
      expect(sent).toEqual(['BOOKMARK', 'BOOKMARK'])
      takes = true
      running.resume()
      expect(sent).toEqual(['BOOKMARK', 'BOOKMARK', 'ADDED one'])
      running[Symbol.dispose]()
    } finally {
      vi.useRealTimers()
    }
  })

  test('because its client does not read for too long is told so, and costs nothing meanwhile', async () => {
    await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
    await start({ events: 4 })
    const first = await create('first')
    const watching = await watch(`resourceVersion=${first.metadata.resourceVersion}`)
    watching.response.pause()
    const payload = 'x'.repeat(900_000)
    for (let index = 0; index < 40; index++) await create(`big-${index}`, {}, { payload })
    watching.response.resume()
    await watching.ended
    const seen: WatchEvent[] = []
    for (;;) {
      const [event] = await watching.take(1)
      seen.push(event as WatchEvent)
      if (event?.type === 'ERROR') break
    }
    expect(seen.length).toBeLessThan(40)
    expect((seen.at(-1) as { object: { reason: string } }).object.reason).toBe('Expired')
  })
})

describe('in process', () => {
  test('events carry the stored objects themselves', async () => {
    const stop = new AbortController()
    const seen: WatchEvent[] = []
    const watching = (async () => {
      for await (const event of client.watch({ method: 'GET', path: PATH, signal: stop.signal })) {
        seen.push(event)
        if (seen.length === 2) stop.abort()
      }
    })()
    await create('one')
    const two = await create('two')
    await expect(watching).rejects.toThrow('aborted')
    expect(seen[1]?.object).toBe(two)
  })

  test('a reader that stops ends the watch', async () => {
    await create('one')
    for await (const event of client.watch({ method: 'GET', path: PATH })) {
      expect(short(event)).toBe('ADDED one')
      break
    }
    const { text } = await server.request('GET', '/metrics')
    expect(text).toMatch(/apiserver_longrunning_requests\{verb="WATCH",[^}]*\} 0/)
  })

  test('a reader that falls behind misses nothing', async () => {
    const count = 2500
    const watching = client.watch({ method: 'GET', path: PATH })[Symbol.asyncIterator]()
    await create('first')
    expect(short((await watching.next()).value as WatchEvent)).toBe('ADDED first')
    await Promise.all(Array.from({ length: count }, (_, index) => create(`c-${index}`)))
    for (let index = 0; index < count; index++) {
      const { value } = await watching.next()
      expect(short(value as WatchEvent)).toBe(`ADDED c-${index}`)
    }
    await watching.return?.(undefined)
  })

  test('what is refused is thrown', async () => {
    const iterator = client.watch({ method: 'GET', path: '/api/v1/nothings' })[Symbol.asyncIterator]()
    await expect(iterator.next()).rejects.toMatchObject({ name: 'StatusError', reason: 'NotFound' })
  })
})
