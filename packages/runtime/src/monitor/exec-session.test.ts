/** Processes that cannot even be begun: nothing is left of them. */
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readlinkSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { execForClient } from './exec-session.ts'
import { createFifoPool } from './fifo-pool.ts'
import type { ExecRequest } from './protocol.ts'

/** What this process has open below a directory, there still or not. */
function openBelow(directory: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(directory) ? [path] : []
    } catch {
      // The one of the listing.
      return []
    }
  })
}

const withoutShim = (parent: string): ExecRequest['kill'] => ({
  kind: 'shim',
  containerDirectory: join(parent, 'nowhere'),
  hostPids: false,
})

test.each<[why: string, tty: boolean, kill: (parent: string) => ExecRequest['kill'], inTheWay: string | undefined]>([
  ['its pipes cannot be laid', false, () => ({ kind: 'process' }), 'stdout/file'],
  ['nobody can be sent its terminal', true, () => ({ kind: 'process' }), 'console.sock'],
  ['its container’s shim is gone', false, withoutShim, undefined],
  ['its container’s shim is gone, with a terminal', true, withoutShim, undefined],
])('where %s', async (_why, tty, kill, inTheWay) => {
  await using parent = await mkdtempDisposable(join(tmpdir(), 'caisson-execs-'))
  const directory = join(parent.path, 'exec-1')
  const pool = createFifoPool(join(parent.path, 'fifos'))
  if (inTheWay) {
    const path = join(directory, inTheWay)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, '')
  }
  const request: ExecRequest = {
    directory,
    command: { program: '/bin/true', args: [], env: {} },
    containerId: 'c',
    runtimeLog: join(parent.path, 'runtime.log'),
    launch: '/bin/true',
    console: '/bin/true',
    process: {},
    tty,
    stdin: true,
    kill: kill(parent.path),
  }
  await expect(execForClient(request, new Duplex({ read() {} }), pool)).rejects.toThrow()
  expect(existsSync(directory)).toBe(false)
  await expect.poll(() => openBelow(directory)).toEqual([])
  await pool.settled()
})

test('what is left of an exec that ended and cannot be taken away is no failure that nobody waits for', async () => {
  await using parent = await mkdtempDisposable(join(tmpdir(), 'caisson-execs-'))
  const container = join(parent.path, 'container')
  const pool = createFifoPool(join(parent.path, 'fifos'))
  mkdirSync(container)
  const said: Buffer[] = []
  const client = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      said.push(chunk)
      done()
    },
  })
  const ended = once(client, 'finish')
  const attached = await execForClient(
    {
      directory: join(container, 'exec-1'),
      command: { program: '/bin/sh', args: ['-c', 'read line; exit 7', 'sh'], env: {} },
      containerId: 'c',
      runtimeLog: join(parent.path, 'runtime.log'),
      launch: '/bin/true',
      console: '/bin/true',
      process: {},
      tty: false,
      stdin: true,
      kill: { kind: 'process' },
    },
    client,
    pool,
  )
  renameSync(container, `${container}.gone`)
  symlinkSync('container', container)
  attached.begin()
  attached.endInput()
  await ended
  expect(Buffer.concat(said).toString()).toContain('{"exitCode":7}')
  await pool.settled()
})
