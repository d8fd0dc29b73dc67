/**
 * A thousand watchers that do not read, and one that does, on a server that writes more than sockets hold: says what that
 * costs the server's process, when those that do not read are cut, and what the other was told.
 *
 * To be run in a network namespace of its own: sockets there are made small, or the kernel would hold gigabytes for them.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Connection, createConnection } from './connection.ts'
import { CONFIG_MAPS } from './kinds.ts'
import { startServerProcess } from './server-process.ts'

const WATCHERS = 1000
const EVENTS = 200
const EVENT_BYTES = 20_000
const STALLED_MS = 8000

/** What the test looks at. */
export interface IdleReadersReport {
  /** Of the server's process, bytes: before anybody watches, with all watching, and at most while nobody reads. */
  memory: { before: number; watched: number; most: number }
  /** Events that the one that reads was told of while the others did not read. */
  told: number
  /** Watches that the server keeps once it has lost patience. */
  kept: number
}

execFileSync('ip', ['link', 'set', 'lo', 'up'])
for (const name of ['tcp_rmem', 'tcp_wmem']) writeFileSync(`/proc/sys/net/ipv4/${name}`, '4096 16384 65536')
const directory = mkdtempSync(join(tmpdir(), 'idle-readers-'))
const token = 'idle-readers'
const server = await startServerProcess(directory, {
  token,
  window: { events: 4096, bytes: 16 << 20 },
  stalledMs: STALLED_MS,
  seed: 1,
})
const endpoint = { port: server.port, token, ca: () => server.ca }
const path = CONFIG_MAPS.path('default')

function memory(): number {
  const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1024
}

async function watchPath(connection: Connection): Promise<IncomingMessage> {
  const { request, response } = await connection.open(path, { watch: 'true', resourceVersion: '1' })
  request.on('error', () => undefined)
  response.on('error', () => undefined)
  return response
}

/** Of ConfigMaps, that the server has. */
async function watches(): Promise<number> {
  const lines = (await writer.read('/metrics')).split('\n')
  const of = ['apiserver_longrunning_requests{', 'resource="configmaps"', 'verb="WATCH"']
  const line = lines.find((each) => of.every((part) => each.includes(part)))
  return Number(line?.split(' ').at(-1))
}

using writer = createConnection(endpoint)
await writer.send('POST', '/api/v1/namespaces', { body: { metadata: { name: 'default' } } })
const before = memory()
const idle: IncomingMessage[] = []
// A few at a time: as many handshakes at once would be strangers that push each other out.
while (idle.length < WATCHERS)
  idle.push(...(await Promise.all(Array.from({ length: 50 }, () => watchPath(createConnection(endpoint))))))
const reader = await watchPath(createConnection(endpoint))
let told = 0
const all = Promise.withResolvers<void>()
reader.setEncoding('utf8')
reader.on('data', (text: string) => {
  told += text.split('\n').length - 1
  if (told >= EVENTS) all.resolve()
})
const watched = memory()
let most = 0
for (let count = 0; count < EVENTS; count++) {
  const content = { value: `${count}`, side: '', colour: '' }
  await writer.send('POST', path, { body: CONFIG_MAPS.body(`event-${count}`, content, 'x'.repeat(EVENT_BYTES)) })
  most = Math.max(most, memory())
}
await all.promise
// Those that do not read learn nothing of it: the server has to be asked.
let kept = WATCHERS
while (kept !== 1) {
  await setTimeout(200)
  kept = await watches()
}
const report: IdleReadersReport = { memory: { before, watched, most }, told, kept }
process.stdout.write(JSON.stringify(report))
server.kill()
await server.gone
rmSync(directory, { recursive: true })
process.exit(0)
