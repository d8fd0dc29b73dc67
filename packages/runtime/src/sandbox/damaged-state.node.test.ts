import { existsSync } from 'node:fs'
import { mkdir, readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
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
