/** The monitor ends by itself only while it has nothing to do. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { containerSpec, createScratchRuntime, execText, sandboxSpec } from '../testing/scratch-runtime.ts'

// Longer than it waits before it ends: what it counts is time itself.
const LONGER_THAN_IDLE_MS = 11_000

test('a monitor that waited for its first runtime does not end under it', async () => {
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('a'))
  await scratch.runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a' }))
  const streams = await scratch.runtime.exec('a-1', { args: ['/bin/cat'], env: {}, tty: false, stdin: true })
  await sleep(LONGER_THAN_IDLE_MS)
  // One that was there before goes on, and so does the next one.
  streams.stdin?.end('still here\n')
  let output = ''
  for await (const chunk of streams.stdout) output += String(chunk)
  streams.stderr?.resume()
  expect([output, await streams.exit]).toEqual(['still here\n', { exitCode: 0 }])
  expect((await execText(scratch.runtime, 'a-1', ['/bin/echo', 'hello'])).stdout).toBe('hello\n')
})
