/** Clients that are gone before their request has got anywhere: nothing is kept of them, and nothing begun for them. */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import type { Store, Transaction } from '../storage/store.ts'
import { type RunningServer, startServer } from '../testing/running-server.ts'
import { CONNECTION_LIMITS } from './connections.ts'
import { IN_FLIGHT_LIMITS } from './in-flight.ts'

/** What a request is held at until the test lets it go on; requests that do not name it are not held. */
type Gate = 'authentication' | 'first write' | 'second write' | 'answer'

interface Held {
  goOn(): void
}

let server: RunningServer
let clients: number
let writes: number
let held: (gate: Gate) => Promise<Held>
const reported: unknown[] = []
const handedOver: string[] = []

const LARGE = 'x'.repeat(100_000)

beforeEach(async () => {
  const waiting = new Map<Gate, PromiseWithResolvers<Held>>()
  held = (gate) => {
    const arrival = Promise.withResolvers<Held>()
    waiting.set(gate, arrival)
    return arrival.promise
  }
  async function pass(gate: Gate): Promise<void> {
    const arrival = waiting.get(gate)
    waiting.delete(gate)
    if (arrival) await new Promise<void>((goOn) => arrival.resolve({ goOn }))
  }
  function answer(request: IncomingMessage, response: ServerResponse): void {
    handedOver.push(request.url ?? '')
    response.end()
  }
  writes = 0
  reported.length = 0
  handedOver.length = 0
  server = await startServer({
    resources: builtinResources(),
    async authenticate() {
      await pass('authentication')
      return { username: 'someone', groups: [] }
    },
    findPath: (path) =>
      path === '/large'
        ? async () => {
            await pass('answer')
            return { status: 200, body: LARGE }
          }
        : undefined,
    environmentFor(_resource, environment) {
      async function write<T>(operation: (transaction: Transaction) => T): Promise<T> {
        await pass(++writes === 1 ? 'first write' : 'second write')
        return environment.store.write(operation)
      }
      return { ...environment, store: Object.create(environment.store, { write: { value: write } }) as Store }
    },
    node: () => ({
      request: answer,
      proxy: (_target, { request, response }) => answer(request, response),
      upgrade: (request, socket) => {
        handedOver.push(request.url ?? '')
        socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n')
      },
    }),
    connections: { ...CONNECTION_LIMITS, perUser: 2 },
    inFlight: {
      ...IN_FLIGHT_LIMITS,
      bodies: { ...IN_FLIGHT_LIMITS.bodies, perUser: 1 },
      unsentBytes: LARGE.length,
    },
    report: (error) => reported.push(error),
  })
  server.server.followClients((open) => {
    clients = open
  })
  const { store } = server
  await store.write((transaction) => {
    const metadata = { name: 'web', namespace: 'default' }
    const spec = { nodeName: 'here', containers: [{ name: 'main' }] }
    transaction.put('pods', { apiVersion: 'v1', kind: 'Pod', metadata, spec })
    transaction.put('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } })
  })
})

afterEach(async () => {
  await server[Symbol.asyncDispose]()
  expect(reported).toEqual([])
})

async function dial(): Promise<TLSSocket> {
  const { port, hostname } = new URL(server.url)
  const socket = connect({ host: hostname, port: Number(port), ca: server.certificates.authority })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket
}

/** Sends a request, hangs up while it is held at the gate, and lets it go on once the server has seen that. */
async function hangUp(gate: Gate, request: string): Promise<void> {
  writes = 0
  const arrival = held(gate)
  const socket = await dial()
  socket.write(request)
  const { goOn } = await arrival
  socket.destroy()
  await expect.poll(() => clients).toBe(0)
  goOn()
  // All that comes after it in the same turns.
  await server.store.write(() => undefined)
  await new Promise((resolve) => setImmediate(resolve))
}

/** As a client that stays. */
async function statusOf(request: string): Promise<string> {
  const socket = await dial()
  socket.write(request)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return answer.toString('latin1').split(' ', 2)[1] ?? ''
}

const head = (line: string, ...headers: string[]): string => [line, 'Host: 127.0.0.1', ...headers, '', ''].join('\r\n')

const GET = head('GET /version HTTP/1.1')
const POST = head(
  'POST /api/v1/namespaces/default/configmaps HTTP/1.1',
  'Content-Type: application/json',
  'Content-Length: 27',
)
const BODY = '{"metadata":{"name":"new"}}'
const POD = '/api/v1/namespaces/default/pods/web'

test('take none of the connections that their user may have', async () => {
  for (let count = 0; count < 3; count++) await hangUp('authentication', GET)
  expect(await statusOf(GET)).toBe('200')
})

test.each([
  ['before its end', '{"meta'],
  ['with all of it sent', BODY],
])('take no place of a body, gone %s', async (_when, sent) => {
  await hangUp('authentication', POST + sent)
  expect(await statusOf(POST + BODY)).toBe('201')
})

test('hold no room of answers', async () => {
  await hangUp('answer', head('GET /large HTTP/1.1'))
  expect(await statusOf(GET)).toBe('200')
})

const LOG = head(`GET ${POD}/log?follow=true HTTP/1.1`)
const PROXY = head(`GET ${POD}/proxy/ HTTP/1.1`)
const UPGRADE = ['Connection: Upgrade', 'Upgrade: echo']
const EXEC = head(`POST ${POD}/exec?command=sh&stdout=1 HTTP/1.1`, ...UPGRADE)
const PORT_FORWARD = head(`POST ${POD}/portforward?ports=80 HTTP/1.1`, ...UPGRADE)

test.each<[what: string, request: string, gate: Gate]>([
  ['a log', LOG, 'authentication'],
  ['a request to a Pod', PROXY, 'first write'],
  ['an exec', EXEC, 'authentication'],
  ['an exec', EXEC, 'first write'],
  ['a port-forward', PORT_FORWARD, 'second write'],
])('are handed over to no node: %s', async (_what, request, gate) => {
  // Who stays is, so that it is known to have come as far.
  await statusOf(request)
  expect(handedOver).toHaveLength(1)
  await hangUp(gate, request)
  expect(handedOver).toHaveLength(1)
  const { text } = await server.request('GET', '/metrics')
  const running = text.match(/^apiserver_longrunning_requests\{.*\} (\d+)$/gm) ?? []
  expect(running.filter((line) => !line.endsWith(' 0'))).toEqual([])
})
