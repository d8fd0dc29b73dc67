import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRuntime } from '@caisson/runtime'
import { expect, test } from 'vitest'
import { leaveSandbox } from '../testing/left-sandbox.ts'
import { stopLeftovers } from './leftovers.ts'

test('what cannot be taken away is told, and keeps no sandbox from being stopped', async () => {
  await using left = await leaveSandbox()
  const { directory, options } = left
  await mkdir(join(directory.runtime, 'containers', 'half'))
  // Whole, and nothing that runsc ever wrote.
  const state = join(directory.runtime, 'runsc', 'half.c_sandbox:half.c.state')
  await writeFile(state, '[]')
  await expect(stopLeftovers(directory)).rejects.toThrow('what is left of container half')
  await rm(state)
  await using next = await createRuntime(options)
  expect(await next.recover()).toEqual([])
})
