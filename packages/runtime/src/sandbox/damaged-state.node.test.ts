import { existsSync, mkdirSync, rmdirSync, watch } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createRuntime } from '../create-runtime.ts'
import { containerSpec, createScratchRuntime, type ScratchRuntime, sandboxSpec } from '../testing/scratch-runtime.ts'

/** Runs a container to its end. */
async function ran(scratch: ScratchRuntime, handler: 'runsc' | 'runc'): Promise<void> {
  const { runtime } = scratch
  await runtime.createSandbox(sandboxSpec('a', { handler }))
  await runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a', args: ['/bin/true'] }))
  await scratch.exitOf('a-1')
}

test.each([
  ['runsc', 'a-1.c_sandbox:a-1.c.state'],
  ['runc', 'a-1.c/state.json'],
] as const)('a container goes also where %s has lost what it wrote down of it', async (handler, state) => {
  await using scratch = await createScratchRuntime({ tools: ['runsc', 'runc'] })
  await ran(scratch, handler)
  await truncate(join(scratch.stateDirectory, handler, state))
  await scratch.runtime.removeSandbox('a')
  expect(await readdir(join(scratch.stateDirectory, handler))).toEqual([])
  await ran(scratch, handler)
})

test('what was half made when the machine crashed keeps no runtime from being opened', async () => {
  await using scratch = await createScratchRuntime()
  const { stateDirectory, toolsDirectory } = scratch
  const container = join(stateDirectory, 'containers', 'half')
  await mkdir(container)
  await writeFile(join(container, 'supervision.json'), '')
  await mkdir(join(stateDirectory, 'runsc'), { recursive: true })
  await writeFile(join(stateDirectory, 'runsc', 'half.c_sandbox:half.c.state'), '')
  await scratch.runtime[Symbol.asyncDispose]()
  await using next = await createRuntime({ stateDirectory, toolsDirectory })
  expect(await next.recover()).toEqual([])
  expect([existsSync(container), await readdir(join(stateDirectory, 'runsc'))]).toEqual([false, []])
})

test('what cannot be taken away is told, and keeps nothing else from going on', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const before = await createScratchRuntime({ stateDirectory: directory })
  const { stateDirectory, toolsDirectory, runtime } = before
  await runtime.createSandbox(sandboxSpec('a'))
  const args = ['/bin/sleep', '1000']
  await runtime.startContainer(containerSpec(before, 'a-1', { sandboxId: 'a', args }))
  await runtime[Symbol.asyncDispose]()
  await mkdir(join(stateDirectory, 'containers', 'half'))
  // Whole, and nothing that it ever wrote.
  const state = join(stateDirectory, 'runsc', 'half.c_sandbox:half.c.state')
  await writeFile(state, '[]')
  const told: string[] = []
  await using next = await createRuntime({ stateDirectory, toolsDirectory })
  const found = await next.recover(undefined, (error, where) => told.push(`${where}: ${(error as Error).message}`))
  expect(found.map(({ spec, containers }) => [spec.id, ...containers.map(({ state }) => state.phase)])).toEqual([
    ['a', 'running'],
  ])
  expect(told).toEqual([
    expect.stringMatching(/^what is left of container half: runsc could not remove container half/),
  ])
  await next.removeSandbox('a')
  await rm(state)
})

test('a container of which it cannot be known whether it has ended already is ended, and may be started again', async () => {
  await using scratch = await createScratchRuntime()
  const { stateDirectory, runtime } = scratch
  await runtime.createSandbox(sandboxSpec('a'))
  const unreadable = join(stateDirectory, 'containers', 'a-1', 'exit.json')
  const watcher = watch(join(stateDirectory, 'containers'), () => {
    watcher.close()
    mkdirSync(unreadable)
  })
  const spec = containerSpec(scratch, 'a-1', { sandboxId: 'a', args: ['/bin/sleep', '1000'] })
  const heard = runtime.onExit(() => rmdirSync(unreadable))
  await expect(runtime.startContainer(spec)).rejects.toThrow('EISDIR')
  heard[Symbol.dispose]()
  expect((await runtime.get('a'))?.containers).toEqual([])
  expect((await runtime.startContainer(spec)).state.phase).toBe('running')
})

test('a shared sandbox begins once what an earlier one left of its pause can be taken away', async () => {
  await using scratch = await createScratchRuntime()
  const { stateDirectory, toolsDirectory, runtime } = scratch
  await runtime[Symbol.asyncDispose]()
  await mkdir(join(stateDirectory, 'containers', 'a.pause'))
  await mkdir(join(stateDirectory, 'runsc'), { recursive: true })
  const state = join(stateDirectory, 'runsc', 'a.pause_sandbox:a.pause.state')
  await writeFile(state, '[]')
  await using next = await createRuntime({ stateDirectory, toolsDirectory })
  const told: string[] = []
  await next.recover(undefined, (_error, where) => told.push(where))
  expect(told).toEqual(['what is left of container a.pause'])
  await expect(next.createSandbox(sandboxSpec('a', { shared: true }))).rejects.toThrow(
    'runsc could not remove container a.pause',
  )
  await rm(state)
  // Nothing that the first attempt left is in the way of the next.
  await next.createSandbox(sandboxSpec('a', { shared: true })).catch(() => {})
  expect((await next.createSandbox(sandboxSpec('a', { shared: true }))).alive).toBe(true)
  await next.removeSandbox('a')
})
