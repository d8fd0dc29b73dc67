import { mkdir, mkdtempDisposable, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createFifoPool } from './fifo-pool.ts'
import { HELD_LOG, type HeldCommand, holdCommand } from './held-command.ts'

/** In place of the reaper a program that writes nothing down: that it has ended is known all the same. */
async function hold(directory: string, program: string, args: string[]): Promise<HeldCommand> {
  const pool = createFifoPool(join(directory, 'fifos'))
  await mkdir(join(directory, 'container'))
  const held = { launch: program, command: { program: args[0] ?? '', args: args.slice(1), env: {} } }
  const command = await holdCommand({ directory: join(directory, 'container'), held }, pool)
  await pool.settled()
  return command
}

test('words that cannot be written to the log are lost, and nothing else', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'caisson-held-'))
  await using command = await hold(scratch.path, '/bin/sh', ['-c', `echo words > ${HELD_LOG}`])
  const released = command.release(join(scratch.path, 'container'), join(scratch.path, 'nowhere', 'log'))
  await expect(released).rejects.toThrow('could not run -c')
})

test('where nobody can hear it, it is not let go on', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'caisson-held-'))
  await using command = await hold(scratch.path, '/bin/sleep', ['0.5'])
  await rm(join(scratch.path, 'container', HELD_LOG))
  const released = command.release(join(scratch.path, 'container'), join(scratch.path, 'log'))
  await expect(released).rejects.toThrow('ENOENT')
})
