import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'

test('what a daemon was started with beside its standard descriptors is closed before it serves', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'caisson-inherits-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const words = [process.execPath, join(import.meta.dirname, '../testing/careless-daemon.ts'), directory]
  // Node has lower ones end with an exec by itself.
  const daemon = spawn('bash', ['-c', 'exec 77>&3 3>&-; exec "$@"', 'bash', ...words], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void daemon.kill('SIGKILL'))
  const ended = once(daemon, 'exit')
  const inherited = daemon.stdio[3] as Readable
  inherited.resume()
  await once(inherited, 'end')
  expect(daemon.exitCode).toBeNull()
  daemon.kill('SIGTERM')
  await ended
})

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
