/** What must not end the monitor of everybody's containers. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type ScratchMonitor, scratchMonitor } from '../testing/scratch-monitor.ts'
import { EXIT_FILE, SUPERVISION_FILE } from './container-files.ts'
import { MONITOR_SOCKET } from './monitor-server.ts'
import { processStartTime } from './process-identity.ts'
import { FRAME, writeFrame, writeJsonFrame } from './protocol.ts'

const logOf = ({ directory }: ScratchMonitor): Promise<string> => readFile(join(directory, 'monitor.log'), 'utf8')

test.each([
  ['opens a connection', FRAME.open],
  ['is a call', FRAME.call],
])('a frame that %s and is no JSON ends its connection alone', async (_what, type) => {
  await using scratch = await scratchMonitor()
  const pid = await scratch.monitor.ping()
  const socket = connect(join(scratch.directory, MONITOR_SOCKET))
  const closed = once(socket, 'close')
  if (type === FRAME.call) writeJsonFrame(socket, FRAME.open, { kind: 'control' })
  writeFrame(socket, type, Buffer.from('{'))
  await closed
  expect(await scratch.monitor.ping()).toBe(pid)
  expect(await logOf(scratch)).toContain('SyntaxError')
})

test('a failure that nobody waited for is told in the log, and ends nothing', async () => {
  const fault = 'data:text/javascript,setImmediate(() => void Promise.reject(new Error("found by a tenant")))'
  await using scratch = await scratchMonitor(['--import', fault])
  const pid = await scratch.monitor.ping()
  await expect.poll(() => logOf(scratch)).toMatch(/a failure that nobody waited for: .*found by a tenant/)
  expect(await scratch.monitor.ping()).toBe(pid)
})

test('a container of which too little is left to watch it has ended with its monitor, and the others have one again', async () => {
  await using scratch = await scratchMonitor()
  const directory = join(scratch.directory, 'containers', 'half')
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  onTestFinished(() => void child.kill('SIGKILL'))
  await mkdir(directory)
  const { pid = 0 } = child
  const running = { pid, startTime: processStartTime(pid), startedAt: 1, oomKills: 0 }
  const supervision = { id: 'half', directory, log: { path: join(directory, 'log') }, end: { kind: 'reaped' } }
  await writeFile(join(directory, SUPERVISION_FILE), JSON.stringify({ supervision, running }))
  expect(await scratch.monitor.ping()).toBeGreaterThan(0)
  expect(await ended).toEqual([null, 'SIGKILL'])
  const exit: unknown = JSON.parse(await readFile(join(directory, EXIT_FILE), 'utf8'))
  expect(exit).toMatchObject({ phase: 'exited', exitCode: 137, startedAt: 1, reason: 'monitor-died' })
})
