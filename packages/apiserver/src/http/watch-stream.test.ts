import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Resource } from '../registry/resource.ts'
import type { WatchMessage, WatchSink } from '../verbs/call.ts'
import { createInFlight, IN_FLIGHT_LIMITS } from './in-flight.ts'
import { JSON_STREAM, type StreamWatchOptions, streamWatch } from './watch-stream.ts'

const LARGE: WatchMessage = { type: 'ADDED', object: { text: 'x'.repeat(1_000_000) } }
const LINE = `{"type":"ADDED","object":${JSON.stringify(LARGE.object)}}\n`
const USER = { username: 'someone', groups: [] }

const server = createServer()

beforeEach(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => new Promise((resolve) => server.close(resolve)))

/** A client that reads nothing yet, and where the events for it go. */
async function watch(
  options: Partial<StreamWatchOptions>,
): Promise<{ client: IncomingMessage; sink: WatchSink; resumed(): number }> {
  const { port } = server.address() as AddressInfo
  const asked = get({ host: '127.0.0.1', port, agent: false })
  const [[, response]] = (await Promise.all([once(server, 'request'), once(asked, 'socket')])) as [
    [IncomingMessage, ServerResponse],
    unknown,
  ]
  let started: WatchSink | undefined
  let resumed = 0
  void streamWatch({
    watch: {
      resource: {} as Resource,
      start(sink) {
        started = sink
        return { resume: () => void resumed++, [Symbol.dispose]: () => undefined }
      },
    },
    response,
    headers: [],
    format: JSON_STREAM,
    transform: undefined,
    stalledMs: 60_000,
    turn: () => undefined,
    room: () => undefined,
    hold: () => () => undefined,
    ...options,
  })
  const [client] = (await once(asked, 'response')) as [IncomingMessage]
  return { client, sink: started as WatchSink, resumed: () => resumed }
}

async function read(client: IncomingMessage): Promise<string> {
  return Buffer.concat((await client.toArray()) as Buffer[]).toString()
}

test('of a large event no more is held for a user than he may have, and each of his watchers is told of it', async () => {
  const inFlight = createInFlight({ ...IN_FLIGHT_LIMITS, unsentBytesPerUser: 3_000_000 })
  let [held, most] = [0, 0]
  const options = {
    room: () => inFlight.room(USER),
    hold(bytes: number) {
      held += bytes
      most = Math.max(most, held)
      const release = inFlight.hold(USER, bytes)
      return () => {
        held -= bytes
        release()
      }
    },
  }
  const watches = []
  for (let count = 0; count < 40; count++) watches.push(await watch(options))
  expect(watches.map(({ sink }) => sink.send(LARGE))).toEqual(watches.map(() => false))
  for (const { sink } of watches) sink.end()
  const told = await Promise.all(watches.map(({ client }) => read(client)))
  expect(told.map((text) => text === LINE)).toEqual(watches.map(() => true))
  expect(held).toBe(0)
  expect(most).toBeLessThan(4_000_000 + 1000)
})

test('a large event waits for its turn, and the end of the watch for the event', async () => {
  const turn = Promise.withResolvers<void>()
  const turns = [turn.promise]
  const { client, sink, resumed } = await watch({ turn: () => turns.shift() })
  expect(sink.send({ type: 'ADDED', object: { a: 1 } })).toBe(true)
  expect(sink.send(LARGE)).toBe(false)
  sink.end()
  turn.resolve()
  expect(await read(client)).toBe(`{"type":"ADDED","object":{"a":1}}\n${LINE}`)
  expect(resumed()).toBe(0)
})
