import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { processStartTime } from './monitor/process-identity.ts'
import { processesWith } from './testing/processes.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  logText,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

const COUNTER = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done'

async function log(scratch: ScratchRuntime, id: string): Promise<string[]> {
  return logText(await readFile(join(scratch.stateDirectory, `${id}.log`), 'utf8'))
}

/** Waits for the log to have at least that many lines: output is an event that only the file shows. */
async function logLines(scratch: ScratchRuntime, id: string, atLeast: number): Promise<string[]> {
  for (;;) {
    const lines = await log(scratch, id)
    if (lines.length >= atLeast) return lines
    await sleep(20)
  }
}

function expectCounting(lines: string[]): void {
  expect(lines).toEqual(lines.map((_, index) => `stdout F ${index + 1}`))
}

async function monitorPid(scratch: ScratchRuntime): Promise<number> {
  for (const pid of await processesWith(scratch.stateDirectory)) {
    if ((await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes('monitor-main.ts')) return pid
  }
  throw new Error('no monitor')
}

test('a container goes on, with its log, when its monitor is killed', async () => {
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('a'))
  await scratch.runtime.startContainer(
    containerSpec(scratch, 'a-1', { sandboxId: 'a', args: ['/bin/sh', '-c', COUNTER] }),
  )
  const before = await logLines(scratch, 'a-1', 5)
  process.kill(await monitorPid(scratch), 'SIGKILL')
  const after = await logLines(scratch, 'a-1', before.length + 20)
  expectCounting(after)
  await scratch.runtime.stopContainer('a-1', { graceMs: 0 })
  expect((await scratch.exitOf('a-1')).state).toMatchObject({ phase: 'exited', exitCode: 137, reason: 'error' })
})

test('what was executed in a container ends with the monitor that it was executed through', async () => {
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('a'))
  await scratch.runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a' }))
  for (const tty of [false, true]) {
    const streams = await scratch.runtime.exec('a-1', {
      args: ['/bin/sh', '-c', 'echo up; exec sleep 4321'],
      env: {},
      tty,
      stdin: true,
    })
    await once(streams.stdout, 'data')
    streams.stdout.resume()
  }
  process.kill(await monitorPid(scratch), 'SIGKILL')
  const search = 'while grep -qs "^sleep.4321" /proc/[0-9]*/cmdline; do sleep 0.05; done; echo gone'
  // The first attempts may still meet the monitor that is dying.
  for (;;) {
    const result = await execText(scratch.runtime, 'a-1', ['/bin/sh', '-c', search]).catch(() => undefined)
    if (result === undefined) continue
    expect(result.stdout).toBe('gone\n')
    return
  }
})

test('terminals of commands that are over at once leave no process behind', async () => {
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('a'))
  await scratch.runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a' }))
  for (let round = 0; round < 20; round++) {
    await using streams = await scratch.runtime.exec('a-1', { args: ['/bin/true'], env: {}, tty: true, stdin: true })
    streams.stdout.resume()
    await streams.exit
  }
  const consoles = join(scratch.stateDirectory, 'native/console')
  while ((await processesWith(consoles)).length > 0) await sleep(10)
})

test('a sentry that is killed is reported, and nothing of it stays', async () => {
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('a'))
  const { state } = await scratch.runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a' }))
  if (state.phase !== 'running') throw new Error('not running')
  process.kill(state.pid, 'SIGKILL')
  expect((await scratch.exitOf('a-1')).state).toEqual({
    phase: 'exited',
    exitCode: 137,
    signal: 9,
    startedAt: state.startedAt,
    finishedAt: expect.any(Number),
    reason: 'sentry-died',
    message: 'the sandbox was ended by signal 9',
  })
  await scratch.runtime.removeContainer('a-1')
  await scratch.runtime.startContainer(containerSpec(scratch, 'a-2', { sandboxId: 'a', args: ['/bin/echo', 'again'] }))
  await scratch.exitOf('a-2')
  expect(await log(scratch, 'a-2')).toEqual(['stdout F again'])
})

test('a container whose directory is gone ends, and takes no monitor with it', async () => {
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('a'))
  const { state } = await scratch.runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a' }))
  if (state.phase !== 'running') throw new Error('not running')
  const monitor = await monitorPid(scratch)
  const directory = join(scratch.stateDirectory, 'containers/a-1')
  await rename(directory, `${directory}.gone`)
  process.kill(state.pid, 'SIGKILL')
  expect((await scratch.exitOf('a-1')).state).toMatchObject({ exitCode: 137, reason: 'sentry-died' })
  expect(await monitorPid(scratch)).toBe(monitor)
  await rename(`${directory}.gone`, directory)
})

test('a shared sandbox whose sentry is killed loses all its containers', async () => {
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('a', { shared: true }))
  const first = await scratch.runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a' }))
  await scratch.runtime.startContainer(containerSpec(scratch, 'a-2', { sandboxId: 'a' }))
  if (first.state.phase !== 'running') throw new Error('not running')
  process.kill(first.state.pid, 'SIGKILL')
  expect((await scratch.exitOf('a-1')).state).toMatchObject({ exitCode: 137, reason: 'sentry-died' })
  expect((await scratch.exitOf('a-2')).state).toMatchObject({ exitCode: 137, reason: 'sentry-died' })
  expect((await scratch.runtime.get('a'))?.alive).toBe(false)
})

test('a container whose reaper is killed is ended and reported', async () => {
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('a'))
  const { state } = await scratch.runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a' }))
  if (state.phase !== 'running') throw new Error('not running')
  const [reaper] = await processesWith(join(scratch.stateDirectory, 'native/launch'))
  process.kill(reaper ?? 0, 'SIGKILL')
  expect((await scratch.exitOf('a-1')).state).toMatchObject({ exitCode: 137, reason: 'monitor-died' })
  while (processStartTime(state.pid) !== undefined) await sleep(10)
})

const DAEMON = fileURLToPath(new URL('./testing/daemon.ts', import.meta.url))

async function startDaemon(stateDirectory: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [DAEMON, stateDirectory], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (child.stdout) await once(child.stdout, 'data')
  return child
}

test('containers outlive the process that started them, and are found again', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  const daemon = await startDaemon(stateDirectory)
  daemon.kill('SIGKILL')
  await once(daemon, 'exit')
  // The one that ends by itself does so while nobody is there.
  await using scratch = await createScratchRuntime({ stateDirectory })
  expect(
    (await scratch.runtime.list())
      .map(({ spec, alive, containers }) => [spec.id, alive, containers.map((c) => c.spec.id)])
      .sort(([one], [other]) => String(one).localeCompare(String(other))),
  ).toEqual([
    ['ends', true, ['ends-1']],
    ['shared', true, ['shared-1']],
    ['stays', true, ['stays-1']],
  ])
  expect((await scratch.exitOf('ends-1')).state).toMatchObject({ phase: 'exited', exitCode: 5, reason: 'error' })
  expect(await log(scratch, 'ends-1')).toEqual(['stdout F begun', 'stdout F done'])
  expectCounting(await logLines(scratch, 'stays-1', (await log(scratch, 'stays-1')).length + 10))
  expect((await execText(scratch.runtime, 'stays-1', ['/bin/echo', 'hello'])).stdout).toBe('hello\n')
  expect((await execText(scratch.runtime, 'shared-1', ['/bin/echo', 'hello'])).stdout).toBe('hello\n')
  await scratch.runtime.stopContainer('shared-1', { graceMs: 0 })
  expect((await scratch.exitOf('shared-1')).state).toMatchObject({ exitCode: 137 })
})

test('whatever moment the process is killed at, the next one finds only whole sandboxes and leaves nothing', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  for (const delay of [5, 40, 90, 150, 230, 320]) {
    const daemon = spawn(process.execPath, [DAEMON, stateDirectory, 'announce'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (daemon.stdout) await once(daemon.stdout, 'data')
    await sleep(delay)
    daemon.kill('SIGKILL')
    await once(daemon, 'exit')
    await using scratch = await createScratchRuntime({ stateDirectory })
    for (const { spec, alive, containers } of await scratch.runtime.list()) {
      expect([spec.id, alive]).toEqual([spec.id, true])
      for (const container of containers) {
        if (container.state.phase !== 'running') continue
        expect((await execText(scratch.runtime, container.spec.id, ['/bin/echo', 'hello'])).stdout).toBe('hello\n')
      }
    }
  }
  expect(await processesWith(stateDirectory)).toEqual([])
  await rm(stateDirectory, { recursive: true, force: true })
}, 120_000)
