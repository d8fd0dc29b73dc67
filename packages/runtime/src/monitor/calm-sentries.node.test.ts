import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { processesWith } from '../testing/processes.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  type ScratchRuntime,
  sandboxSpec,
} from '../testing/scratch-runtime.ts'
import { TIMER_SLACK, threadsOf } from './timer-slack.ts'

async function scratchRuntime(): Promise<ScratchRuntime> {
  const scratch = await createScratchRuntime()
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch
}

async function start(scratch: ScratchRuntime, id: string, script: string): Promise<void> {
  await scratch.runtime.createSandbox(sandboxSpec(id))
  await scratch.runtime.startContainer(containerSpec(scratch, id, { sandboxId: id, args: ['/bin/sh', '-c', script] }))
}

async function sentryOf({ stateDirectory }: ScratchRuntime, id: string): Promise<number> {
  return Number(await readFile(join(stateDirectory, 'containers', id, 'container.pid'), 'utf8'))
}

/** What its threads are told, each kind once. */
async function slackOf(pid: number): Promise<number[]> {
  const all = threadsOf(pid).map((thread) => readFile(`/proc/${thread}/timerslack_ns`, 'utf8').catch(() => undefined))
  return [...new Set((await Promise.all(all)).filter((text) => text !== undefined).map(Number))]
}

/** The kernel tells nobody of it. */
async function becomes(pid: number, slack: keyof typeof TIMER_SLACK): Promise<void> {
  while (String(await slackOf(pid)) !== String(TIMER_SLACK[slack])) await delay(50)
}

test('a sentry in which nothing runs is not prompt, and one in which something does is', async () => {
  const scratch = await scratchRuntime()
  await start(scratch, 'works', 'while :; do :; done')
  await start(scratch, 'sleeps', 'sleep 1000')
  const [works, sleeps] = [await sentryOf(scratch, 'works'), await sentryOf(scratch, 'sleeps')]
  await becomes(sleeps, 'calm')
  expect(await slackOf(works)).toEqual([TIMER_SLACK.awake])
  // Whoever executes something there does not wait until that is seen.
  expect(await execText(scratch.runtime, 'sleeps', ['echo', 'x'])).toEqual({
    stdout: 'x\n',
    stderr: '',
    exit: { exitCode: 0 },
  })
  expect(await slackOf(sleeps)).toEqual([TIMER_SLACK.awake])
})

/** Sleeps until it is asked to end, and works from then on. */
const WORKS_WHEN_ASKED = 'trap "while :; do :; done" TERM; sleep 1000 & wait'

async function ask({ runtime }: ScratchRuntime, id: string, has: () => Promise<void>): Promise<void> {
  const stopped = runtime.stopContainer(id, { graceMs: 600_000 })
  await has()
  await runtime.removeSandbox(id)
  await stopped
}

test('a sentry in which something begins to run by itself is prompt again', async () => {
  const scratch = await scratchRuntime()
  await start(scratch, 'later', WORKS_WHEN_ASKED)
  const later = await sentryOf(scratch, 'later')
  await becomes(later, 'calm')
  await ask(scratch, 'later', () => becomes(later, 'awake'))
})

test('the next monitor has a sentry that was calm before be prompt when something runs', async () => {
  const scratch = await scratchRuntime()
  await start(scratch, 'later', WORKS_WHEN_ASKED)
  const later = await sentryOf(scratch, 'later')
  await becomes(later, 'calm')
  for (const pid of await processesWith(scratch.stateDirectory))
    if ((await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes('monitor-main.ts')) process.kill(pid, 'SIGKILL')
  await ask(scratch, 'later', () => becomes(later, 'awake'))
})

test('a sandbox made ahead is not prompt until something comes into it', async () => {
  const scratch = await scratchRuntime()
  const { runtime, stateDirectory } = scratch
  const script = 'while :; do :; done'
  await start(scratch, 'source', script)
  const snapshot = join(stateDirectory, 'snapshot')
  await runtime.checkpoint('source', { directory: snapshot, leaveRunning: true })
  await becomes(await sentryMadeAhead(stateDirectory), 'calm')
  await runtime.createSandbox(sandboxSpec('copy', { snapshot }))
  const spec = containerSpec(scratch, 'copy', { sandboxId: 'copy', args: ['/bin/sh', '-c', script] })
  const { state } = await runtime.restoreContainer(spec, snapshot)
  expect(state).toMatchObject({ phase: 'running' })
  // Several are made, and which of them it came into nobody chooses.
  const supervision = await readFile(join(stateDirectory, 'containers', 'copy', 'supervision.json'), 'utf8')
  expect(supervision).toMatch(/"ociId":"[0-9a-f]{16}\.blank"/)
  expect(await slackOf(await sentryOf(scratch, 'copy'))).toEqual([TIMER_SLACK.awake])
})

/** Files in a directory are the only sign of one. */
async function sentryMadeAhead(stateDirectory: string): Promise<number> {
  const root = join(stateDirectory, 'containers')
  for (;;) {
    const [name] = (await readdir(root)).filter((each) => each.endsWith('.blank'))
    const text = name && (await readFile(join(root, name, 'container.pid'), 'utf8').catch(() => undefined))
    if (text) return Number(text)
    await delay(20)
  }
}
