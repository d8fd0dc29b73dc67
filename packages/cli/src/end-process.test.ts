import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const MODULE = fileURLToPath(new URL('./end-process.ts', import.meta.url))

/** A process that writes so much, with its exit code set, and then ends itself. A timer would keep it alive otherwise. */
function writer(bytes: number, timer: boolean) {
  const script = `
    import { endProcess } from ${JSON.stringify(MODULE)}
    ${timer ? 'setTimeout(() => {}, 60_000)' : ''}
    process.exitCode = 7
    process.stdout.write('x'.repeat(${bytes}))
    endProcess()`
  return spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] })
}

test('ends with the exit code, whatever else would go on', async () => {
  const child = writer(1, true)
  child.stdout.resume()
  expect(await once(child, 'close')).toEqual([7, null])
})

test('leaves no output behind for a reader that comes late', async () => {
  const child = writer(5_000_000, false)
  // Not read from until it can write no more, or has ended.
  await once(child.stdout, 'readable')
  let read = 0
  child.stdout.on('data', (chunk: Buffer) => (read += chunk.length))
  expect([await once(child, 'close'), read]).toEqual([[7, null], 5_000_000])
})
