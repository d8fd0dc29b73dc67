/**
 * The embedded API server as a process of its own, to be killed. What it stands on can be told to fail: the clock jumps,
 * and the disk dies at the moments between a commit and its answer.
 *
 *   node server-program.ts DIRECTORY SETTINGS
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { startApiServer } from '../../packages/apiserver/src/index.ts'
import { seeded } from '../differential/script.ts'
import { runInnerWatcher } from './inner-watcher.ts'
import { KINDS } from './kinds.ts'
import type { Order, ServerSettings } from './server-process.ts'

const [, , directory = '', text = '{}'] = process.argv
const { token, window, stalledMs, seed } = JSON.parse(text) as ServerSettings
let order: Order | undefined

// The store writes a transaction, has it synced here, and only then answers.
const { fdatasync } = fs
fs.fdatasync = ((descriptor: number, done: fs.NoParamCallback): void => {
  if (order?.kind === 'die-before-sync') die()
  if (order?.kind === 'fail-sync')
    return void setImmediate(done, Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }))
  fdatasync(descriptor, (error) => {
    if (order?.kind === 'die-after-sync') die()
    done(error)
  })
}) as typeof fs.fdatasync
syncBuiltinESMExports()

const now = Date.now
let offset = 0
Date.now = () => now() + offset

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

process.on('message', (next: Order) => {
  if (next.kind === 'move-clock') offset += next.ms
  else order = next
})
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1))

const server = await startApiServer({
  directory: join(directory, 'state'),
  certificates: join(directory, 'pki'),
  host: '127.0.0.1',
  port: 0,
  tokens: [{ token, user: { username: 'admin', groups: ['system:masters'] } }],
  window,
  // The events alone count, whatever they weigh.
  historyBytes: 1 << 30,
  connections: { stalledMs },
  // What fails is told to who asked; the history has it.
  report: () => undefined,
})
process.on('SIGTERM', () => void server[Symbol.asyncDispose]().then(() => process.exit()))
process.send?.({ port: server.port, ca: server.certificates.authority })
const inside = server.server.connect({ username: 'inner', groups: ['system:masters'] })
for (const kind of KINDS)
  void runInnerWatcher({ server: inside, kind, random: seeded(seed), tell: (what) => void process.send?.(what) })
