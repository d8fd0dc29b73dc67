/** What only a runtime behind a shim can suffer; what all runtimes do is in handlers.node.test.ts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findCgroupTree } from '../cgroups/cgroup-tree.ts'
import { cgroupName } from '../cgroups/sandbox-cgroups.ts'
import { shimEvents } from '../sandbox/shim-driver.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  logText,
  type ScratchRuntime,
  sandboxSpec,
} from '../testing/scratch-runtime.ts'
import { virtualisationProblem } from '../tools/hardware.ts'
import { readAddress } from './task-service.ts'

const scratchRuntime = (): Promise<ScratchRuntime> =>
  createScratchRuntime({ tools: ['runsc', 'runc', 'containerd-shim-runc-v2'] })

async function start(scratch: ScratchRuntime, id: string, script: string): Promise<void> {
  await scratch.runtime.createSandbox(sandboxSpec(id, { handler: 'runc-v2' }))
  const args = ['/bin/sh', '-c', script]
  await scratch.runtime.startContainer(containerSpec(scratch, `${id}-1`, { sandboxId: id, args, stdin: true }))
}

/** Processes whose command line has all of these. */
function processesWith(...texts: string[]): number[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, 'utf8')
      return /^\d+$/.test(name) && texts.every((text) => line.includes(text)) ? [Number(name)] : []
    } catch {
      return []
    }
  })
}

const only = (found: number[]): number => {
  expect(found).toHaveLength(1)
  return found[0] ?? 0
}

/** Its reaper names it too, behind its own name. */
const shimOf = (id: string): number[] =>
  processesWith(`containerd-shim-runc-v2\0-namespace`, `\0${id}.c\0`, '-id').filter(
    (pid) => !/launch/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? ''),
  )

test('a container whose shim is killed is ended, reported and taken away, and nothing of it stays', async () => {
  await using scratch = await scratchRuntime()
  await start(scratch, 'orphan', 'exec sleep 98765')
  const { path } = readAddress(join(scratch.stateDirectory, 'containers', 'orphan-1'))
  const root = findCgroupTree()?.controllers.get('pids') ?? ''
  const group = join(root, cgroupName(scratch.stateDirectory), 'orphan', 'orphan-1')
  expect([existsSync(path), existsSync(group)]).toEqual([true, true])
  process.kill(only(shimOf('orphan-1')), 'SIGKILL')
  expect((await scratch.exitOf('orphan-1')).state).toMatchObject({ exitCode: 137, reason: 'monitor-died' })
  // It was killed before that was said, and goes when the kernel has taken it apart.
  await expect.poll(() => processesWith('sleep', '98765')).toEqual([])
  await scratch.runtime.removeSandbox('orphan')
  expect(existsSync(join(scratch.stateDirectory, 'containers', 'orphan-1'))).toBe(false)
  expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(scratch.stateDirectory)
  expect([existsSync(path), existsSync(group)]).toEqual([false, false])
})

test('the shim and its socket go with the container', async () => {
  await using scratch = await scratchRuntime()
  await start(scratch, 'whole', 'exit 5')
  const { path } = readAddress(join(scratch.stateDirectory, 'containers', 'whole-1'))
  expect((await scratch.exitOf('whole-1')).state).toMatchObject({ exitCode: 5 })
  await scratch.runtime.removeSandbox('whole')
  expect([shimOf('whole-1'), existsSync(path)]).toEqual([[], false])
})

test('a container goes on, with its log and its exit code, when its monitor is killed', async () => {
  const scratch = await scratchRuntime()
  await start(scratch, 'on', 'echo before; while [ ! -e /tmp/end ]; do sleep 0.05; done; echo after; exit 9')
  const log = (): string[] => logText(readFileSync(join(scratch.stateDirectory, 'on-1.log'), 'utf8'))
  // What a monitor has read and not written yet goes with it.
  await expect.poll(log).toEqual(['stdout F before'])
  process.kill(only(processesWith('monitor-main.ts', scratch.stateDirectory)), 'SIGKILL')
  const ended = scratch.exitOf('on-1')
  // The first attempts may still meet the monitor that is dying, which may have it done and not say so.
  const touch = (): Promise<unknown> =>
    execText(scratch.runtime, 'on-1', ['/bin/touch', '/tmp/end']).catch(() => undefined)
  const done = (): Promise<unknown> => Promise.race([ended, touch()])
  await expect.poll(done, { timeout: 10_000 }).toBeDefined()
  expect((await ended).state).toMatchObject({ exitCode: 9, reason: 'error' })
  expect(log()).toEqual(['stdout F before', 'stdout F after'])
  await scratch[Symbol.asyncDispose]()
  // The socket of the monitor that was killed is gone with the last process.
  await expect.poll(() => existsSync(shimEvents(scratch.stateDirectory))).toBe(false)
})

test('what was executed is killed with all that it started when its client goes', async () => {
  await using scratch = await scratchRuntime()
  await start(scratch, 'exec', 'exec sleep 1000')
  const args = ['/bin/sh', '-c', 'sleep 43210 & echo begun; exec sleep 43210']
  const streams = await scratch.runtime.exec('exec-1', { args, env: {}, tty: false, stdin: false })
  for await (const chunk of streams.stdout) if (String(chunk).includes('begun')) break
  await streams[Symbol.asyncDispose]()
  await expect.poll(() => processesWith('sleep', '43210')).toEqual([])
})

test.skipIf(virtualisationProblem() === undefined)(
  'virtual machines are refused where there are none, and it is said why',
  async () => {
    await using scratch = await scratchRuntime()
    for (const handler of ['kata', 'kata-fc'] as const) {
      await expect(scratch.runtime.createSandbox(sandboxSpec('vm', { handler }))).rejects.toMatchObject({
        code: 'runtime-missing',
        message: `${handler} runs virtual machines, which this machine cannot: ${virtualisationProblem()}. gVisor needs none of it`,
      })
    }
    const handlers = await scratch.runtime.handlers()
    expect([handlers.has('runc-v2'), handlers.has('kata')]).toEqual([true, false])
  },
)
