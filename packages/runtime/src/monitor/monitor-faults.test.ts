/** What must not end the monitor of everybody's containers, and what is done where it has ended. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { MONITOR, type ScratchMonitor, scratchMonitor } from '../testing/scratch-monitor.ts'
import { EXIT_FILE, SUPERVISION_FILE } from './container-files.ts'
import { createMonitorClient } from './monitor-client.ts'
import { MONITOR_SOCKET } from './monitor-server.ts'
import { processStartTime } from './process-identity.ts'
import { FRAME, parseFrame, readFrames, writeFrame, writeJsonFrame } from './protocol.ts'

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

test('a call of a later version ends no monitor, whether something runs or not', async () => {
  await using scratch = await scratchMonitor()
  const pid = await scratch.monitor.ping()
  const socket = connect(join(scratch.directory, MONITOR_SOCKET))
  onTestFinished(() => void socket.destroy())
  const answers: unknown[] = []
  const answered = Promise.withResolvers<void>()
  readFrames(socket, (_type, payload) => {
    if (answers.push(parseFrame(payload)) === 2) answered.resolve()
  })
  writeJsonFrame(socket, FRAME.open, { kind: 'control' })
  writeJsonFrame(socket, FRAME.call, { call: 1, method: 'of-a-later-version' })
  // What it was about to do behind the answer is done by then.
  writeJsonFrame(socket, FRAME.call, { call: 2, method: 'run', errand: { program: 'true', args: [] } })
  await answered.promise
  expect(answers[0]).toEqual({ call: 1, result: false })
  expect(await scratch.monitor.ping()).toBe(pid)
})

test.each([
  ['of how it is watched', SUPERVISION_FILE],
  ['of its end', EXIT_FILE],
])(
  'a record %s that cannot be read is none that is not there: no monitor goes on without the container',
  async (_what, file) => {
    await using scratch = await scratchMonitor()
    const record = join(scratch.directory, 'containers', 'a', file)
    // As what cannot be read for a moment: it is there, and reading it fails.
    await mkdir(record, { recursive: true })
    await expect(scratch.monitor.ping()).rejects.toThrow('the monitor of the containers did not start')
    expect(await logOf(scratch)).toContain(`${record} cannot be read: EISDIR`)
    await rm(record, { recursive: true })
    expect(await scratch.monitor.ping()).toBeGreaterThan(0)
  },
)

test('where no monitor can be started one is later, and what was missed is asked for until it is known', async () => {
  await using scratch = await scratchMonitor()
  const [starts, refuses] = [join(scratch.directory, 'starts'), join(scratch.directory, 'refuses')]
  const script = `echo >> ${starts}; test ! -e ${refuses} && exec ${process.execPath} ${MONITOR} "$1"`
  let replaced = 0
  await using client = createMonitorClient({
    stateDirectory: scratch.directory,
    command: ['sh', '-c', script, 'sh'],
    onExit: () => undefined,
    async onReplaced() {
      if (++replaced === 1) throw new Error('it cannot be read just now')
    },
  })
  const pid = await client.ping()
  await writeFile(refuses, '')
  process.kill(pid, 'SIGKILL')
  await expect.poll(() => readFile(starts, 'utf8')).toMatch(/^\n{2,}$/)
  await rm(refuses)
  await expect.poll(() => replaced, { timeout: 10_000 }).toBe(2)
  await client.retire()
})

test('a monitor that ends while somebody connects has the next one answer', async () => {
  await using scratch = await scratchMonitor()
  const path = join(scratch.directory, MONITOR_SOCKET)
  // As one does that has had nothing to do for a while: it takes its socket away, and with it whoever was not taken yet.
  const ending = createServer((socket) => {
    ending.close()
    socket.destroy()
  }).listen(path)
  await once(ending, 'listening')
  const pid = await scratch.monitor.ping()
  expect([pid, await scratch.monitor.ping()]).toEqual([expect.any(Number), pid])
})
