import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createRuntime } from '@caisson/runtime'
import { expect, test } from 'vitest'
import { leaveSandbox } from '../testing/left-sandbox.ts'
import { endDaemon } from './end-daemon.ts'

test('sandboxes are stopped whose process was told a moment before to leave them running', async () => {
  await using left = await leaveSandbox()
  const { directory, options } = left
  const words = [join(import.meta.dirname, '../testing/leaving-daemon.ts'), directory.root]
  const daemon = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(daemon.stdout, 'data')
  expect(await endDaemon(directory, '10s')).toBe(true)
  await using runtime = await createRuntime(options)
  expect(await runtime.recover()).toEqual([])
})
