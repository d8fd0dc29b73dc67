import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRuntime } from '@caisson/runtime'
import { expect, test } from 'vitest'
import { dataDirectory, toolsDirectory } from './data-directory.ts'
import { endDaemon } from './end-daemon.ts'

test('sandboxes are stopped whose process was told a moment before to leave them running', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'caisson-ends-'))
  const directory = dataDirectory(root.path)
  const options = { stateDirectory: directory.runtime, toolsDirectory: toolsDirectory(directory) }
  {
    await using runtime = await createRuntime(options)
    await runtime.createSandbox({
      id: 'a',
      handler: 'runsc',
      hostname: 'sandbox',
      network: { kind: 'none' },
      shared: true,
      limits: {},
      labels: {},
    })
  }
  const words = [join(import.meta.dirname, '../testing/leaving-daemon.ts'), root.path]
  const daemon = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(daemon.stdout, 'data')
  expect(await endDaemon(directory, '10s')).toBe(true)
  await using runtime = await createRuntime(options)
  expect(await runtime.recover()).toEqual([])
})
