import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'

test('a failure that nobody waited for is told in the log, and ends nothing', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'caisson-careless-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const daemon = spawn(process.execPath, [join(import.meta.dirname, '../testing/careless-daemon.ts'), directory], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  daemon.stdout.setEncoding('utf8')
  let said = ''
  daemon.stdout.on('data', (chunk: string) => {
    said += chunk
    if (said.includes('goes on')) daemon.kill('SIGTERM')
  })
  const [logged, [code]] = await Promise.all([text(daemon.stderr), once(daemon, 'close')])
  expect(said).toBe('ready: https://127.0.0.1:1\ngoes on\n')
  expect(logged).toMatch(/a failure that nobody waited for.*found by a tenant/)
  expect(code).toBe(0)
})
