import { mkdtempDisposable, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createFifoPool } from './fifo-pool.ts'

test('nothing is written into the directory any more once the pool has settled', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'caisson-fifos-'))
  const pool = createFifoPool(join(directory.path, 'fifos'))
  await pool.place(Array.from({ length: 50 }, (_, index) => join(directory.path, `taken-${index}`)))
  await pool.settled()
  expect(await readdir(join(directory.path, 'fifos'))).toHaveLength(64 - 50 + 64)
})
