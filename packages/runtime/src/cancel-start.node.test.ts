import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRuntime } from './create-runtime.ts'
import type { Runtime } from './runtime.ts'
import { containerSpec, createScratchRuntime, type ScratchRuntime, sandboxSpec } from './testing/scratch-runtime.ts'
import { installTools } from './tools/install-tools.ts'
import { defaultToolsDirectory } from './tools/tools.ts'

let directory: string
let runtime: Runtime
let stateDirectory: string
beforeAll(async () => {
  const real = defaultToolsDirectory()
  const tools = await installTools(real, { tools: ['runsc'] })
  directory = await mkdtemp(join(tmpdir(), 'caisson-hung-'))
  stateDirectory = join(directory, 'state')
  // A runsc that does everything but begin: what a machine without memory, or a broken kernel, makes of it.
  await mkdir(join(directory, 'tools', 'bin'), { recursive: true })
  const hung = join(directory, 'tools', 'bin', 'runsc')
  const runsc = tools.get('runsc')?.path ?? ''
  await writeFile(
    hung,
    `#!/bin/sh
for word; do [ "$word" = run ] && { sleep 7654 & wait; }; done
exec ${runsc} "$@"
`,
  )
  await chmod(hung, 0o755)
  await symlink(join(real, 'lib'), join(directory, 'tools', 'lib'))
  runtime = await createRuntime({ stateDirectory, toolsDirectory: join(directory, 'tools') })
  await runtime.recover()
})
afterAll(async () => {
  await runtime[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

async function hungProcesses(): Promise<string[]> {
  const lines = await Promise.all(
    (await readdir('/proc'))
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return lines
    .filter((line) => line.includes(directory) && !line.includes('monitor'))
    .concat(lines.filter((line) => line.includes('sleep\u00007654')))
}

test.each([
  ['of a container', false],
  ['of a shared sandbox', true],
])('a start %s that hangs ends when it is given up, and leaves nothing', async (_, shared) => {
  const stop = new AbortController()
  const id = shared ? 'many' : 'one'
  const scratch = { stateDirectory } as ScratchRuntime
  const started = shared
    ? runtime.createSandbox(sandboxSpec(id, { shared }), stop.signal)
    : runtime
        .createSandbox(sandboxSpec(id))
        .then(() => runtime.startContainer(containerSpec(scratch, `${id}-1`, { sandboxId: id }), stop.signal))
  started.catch(() => undefined)
  await expect.poll(hungProcesses, { timeout: 20_000 }).not.toEqual([])
  stop.abort(new Error('given up'))
  await expect(started).rejects.toThrow()
  await runtime.removeSandbox(id)
  await expect.poll(hungProcesses).toEqual([])
  expect(await readdir(join(stateDirectory, 'containers'))).toEqual([])
  expect(await runtime.list()).toEqual([])
})

test('a sandbox whose sentry does not answer any more is removed all the same', async () => {
  await using scratch = await createScratchRuntime()
  for (const shared of [false, true]) {
    const id = `stuck-${shared}`
    await scratch.runtime.createSandbox(sandboxSpec(id, { shared }))
    const { state } = await scratch.runtime.startContainer(containerSpec(scratch, `${id}-1`, { sandboxId: id }))
    if (state.phase !== 'running') throw new Error('not running')
    process.kill(state.pid, 'SIGSTOP')
    await scratch.runtime.removeSandbox(id)
    expect(await scratch.runtime.get(id)).toBeUndefined()
  }
}, 60_000)
