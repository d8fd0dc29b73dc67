import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeTerminationMessage, terminationMessage } from './termination-message.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-words-'))
})
afterEach(() => rm(directory, { recursive: true }))

const fileOf = (restartCount: number): string => join(directory, 'main', `${restartCount}.termination`)

test('a container that is started again and again keeps what its newest runs said', async () => {
  for (let restartCount = 0; restartCount < 12; restartCount++) {
    await makeTerminationMessage(fileOf(restartCount), restartCount)
    await writeFile(fileOf(restartCount), `run ${restartCount}`)
  }
  expect((await readdir(join(directory, 'main'))).sort()).toEqual([9, 10, 11].map((run) => `${run}.termination`).sort())
  expect((await stat(fileOf(11))).mode & 0o777).toBe(0o666)
})

test('of a file that says more than is told only the end is kept', async () => {
  await makeTerminationMessage(fileOf(0), 0)
  await writeFile(fileOf(0), `${'x'.repeat(300_000)}${'y'.repeat(4_000)}`)
  const files = { message: fileOf(0), log: join(directory, 'log'), exitCode: 1 }
  const end = `${'x'.repeat(96)}${'y'.repeat(4_000)}`
  expect(await terminationMessage({ name: 'main' }, files)).toBe(end)
  expect(await readFile(fileOf(0), 'utf8')).toBe(end)
  // Whoever asks again, a new agent, hears the same.
  expect(await terminationMessage({ name: 'main' }, files)).toBe(end)
})
