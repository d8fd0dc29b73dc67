import { mkdtempDisposable, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCommand } from '../tools/run-command.ts'
import { createDrivers } from './drivers.ts'
import { createPreparation } from './prepare.ts'

test('what every container needs is laid out as soon as it can be, also where it once could not', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'caisson-prepare-'))
  const [state, other] = ['state', 'other'].map((name) => join(scratch.path, name)) as [string, string]
  const drivers = createDrivers({
    stateDirectory: other,
    toolsDirectory: other,
    unprivileged: false,
    run: runCommand,
  })
  const prepare = createPreparation(drivers, { stateDirectory: state, imagesDirectory: join(other, 'images') })
  // In the way of its directory, as a disk that is full would be.
  await writeFile(state, '')
  await expect(prepare()).rejects.toThrow('ENOTDIR')
  await rm(state)
  expect((await prepare()).native.launch).toBe(join(state, 'native', 'launch'))
})
