import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type RecordedEnd, readEnds, recordEnds } from './recorded-ends.ts'

const end = (exitCode: number): RecordedEnd => ({
  phase: 'exited',
  exitCode,
  startedAt: 1,
  finishedAt: 2,
  reason: 'completed',
})

test('what is recorded is added to what was, and nothing needs no directory', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'caisson-ends-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  await recordEnds(join(directory, 'never-made'), new Map())
  await recordEnds(directory, new Map([['a', end(1)]]))
  await recordEnds(directory, new Map([['b', end(2)]]))
  await recordEnds(directory, new Map())
  expect(Object.fromEntries(await readEnds(directory))).toEqual({ a: end(1), b: end(2) })
  expect(await readEnds(join(directory, 'never-made'))).toEqual(new Map())
})
