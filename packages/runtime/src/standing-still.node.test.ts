/** A sandbox that is told to stand still for its snapshot, by a runtime or a monitor that is no more before it goes on. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { STILL_FILE } from './monitor/sentry-keeper.ts'
import { processesWith } from './testing/processes.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

const COUNTER = `
import os, time
count = 0
while True:
    count += 1
    with open('/tmp/count.new', 'w') as file: file.write(str(count))
    os.rename('/tmp/count.new', '/tmp/count')
    time.sleep(0.01)
`

/** What it has counted to once it is beyond a number. */
async function counted({ runtime }: ScratchRuntime, beyond = 0): Promise<number> {
  const script = `until [ "$(cat /tmp/count 2>/dev/null || echo 0)" -gt ${beyond} ]; do sleep 0.01; done; cat /tmp/count`
  return Number((await execText(runtime, 'main', ['sh', '-c', script])).stdout)
}

async function goesOn(scratch: ScratchRuntime): Promise<void> {
  await counted(scratch, (await counted(scratch)) + 1)
}

/** It is there from when a sandbox is told to stand still until it goes on. */
const stillFile = (stateDirectory: string): string => join(stateDirectory, 'containers/main', STILL_FILE)

async function startCounting(): Promise<{ scratch: ScratchRuntime; pid: number }> {
  const scratch = await createScratchRuntime()
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  await scratch.runtime.createSandbox(sandboxSpec('box'))
  const { state } = await scratch.runtime.startContainer(
    containerSpec(scratch, 'main', { sandboxId: 'box', args: ['python3', '-c', COUNTER] }),
  )
  if (state.phase !== 'running') throw new Error('it does not run')
  await counted(scratch)
  return { scratch, pid: state.pid }
}

async function killMonitor({ stateDirectory }: ScratchRuntime): Promise<void> {
  for (const pid of await processesWith(stateDirectory))
    if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('monitor-main.ts')) process.kill(pid, 'SIGKILL')
}

test('it goes on when the process is killed that told it to stand still, before another one is there', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  const daemon = spawn(
    process.execPath,
    [fileURLToPath(new URL('./testing/suspending-daemon.ts', import.meta.url)), stateDirectory, COUNTER],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const [text] = (await once(daemon.stdout, 'data')) as [Buffer]
  const sentry = Number(text.toString())
  // It is told, and does not answer.
  process.kill(sentry, 'SIGSTOP')
  daemon.stdin.write('suspend\n')
  const still = stillFile(stateDirectory)
  while (!existsSync(still)) await delay(1)
  daemon.kill('SIGKILL')
  await once(daemon, 'exit')
  process.kill(sentry, 'SIGCONT')
  while (existsSync(still)) await delay(1)
  await using scratch = await createScratchRuntime({ stateDirectory })
  await goesOn(scratch)
})

test('it goes on when the monitor is killed while it stands still', async () => {
  const { scratch, pid } = await startCounting()
  const directory = join(scratch.stateDirectory, 'snapshot')
  const still = stillFile(scratch.stateDirectory)
  const keeping = scratch.runtime.checkpoint('box', {
    directory,
    leaveRunning: true,
    async whilePaused() {
      // Before it is written down.
      process.kill(pid, 'SIGSTOP')
      expect(readFileSync(still, 'utf8')).not.toBe('')
      await killMonitor(scratch)
      process.kill(pid, 'SIGCONT')
    },
  })
  await expect(keeping).rejects.toMatchObject({ code: 'failed' })
  expect([existsSync(still), existsSync(directory)]).toEqual([false, false])
  await goesOn(scratch)
})

test('it ends, and its end is told, where nobody knows whether it stands still', async () => {
  const { scratch, pid } = await startCounting()
  process.kill(pid, 'SIGSTOP')
  const directory = join(scratch.stateDirectory, 'snapshot')
  const keeping = scratch.runtime.checkpoint('box', { directory, leaveRunning: false })
  keeping.catch(() => undefined)
  while (!existsSync(stillFile(scratch.stateDirectory))) await delay(1)
  await killMonitor(scratch)
  process.kill(pid, 'SIGCONT')
  await expect(keeping).rejects.toMatchObject({ code: 'failed' })
  expect((await scratch.exitOf('main')).state).toMatchObject({ phase: 'exited', reason: 'sentry-died' })
})
