import { mkdir, mkdtempDisposable, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRuntime } from '@caisson/runtime'
import { expect, test } from 'vitest'
import { dataDirectory, toolsDirectory } from './data-directory.ts'
import { stopLeftovers } from './leftovers.ts'

test('what cannot be taken away is told, and keeps no sandbox from being stopped', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'caisson-leftovers-'))
  const directory = dataDirectory(root.path)
  const options = { stateDirectory: directory.runtime, toolsDirectory: toolsDirectory(directory) }
  {
    await using before = await createRuntime(options)
    await before.createSandbox({
      id: 'a',
      handler: 'runsc',
      hostname: 'sandbox',
      network: { kind: 'none' },
      shared: true,
      limits: {},
      labels: {},
    })
  }
  await mkdir(join(directory.runtime, 'containers', 'half'))
  // Whole, and nothing that runsc ever wrote.
  const state = join(directory.runtime, 'runsc', 'half.c_sandbox:half.c.state')
  await writeFile(state, '[]')
  await expect(stopLeftovers(directory)).rejects.toThrow('what is left of container half')
  await rm(state)
  await using next = await createRuntime(options)
  expect(await next.recover()).toEqual([])
})
