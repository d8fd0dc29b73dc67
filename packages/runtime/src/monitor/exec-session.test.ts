/** Processes that cannot even be begun: nothing is left of them. */
import { existsSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
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
