import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'caisson-ends-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

test('what cannot be read now is not taken for none, nor written over; what was cut off is none', async () => {
  const directory = scratch()
  mkdirSync(join(directory, 'ended.json'))
  await expect(readEnds(directory)).rejects.toThrow('ended.json cannot be read: EISDIR')
  await expect(recordEnds(directory, new Map([['a', end(1)]]))).rejects.toThrow('ended.json cannot be read: EISDIR')
  rmSync(join(directory, 'ended.json'), { recursive: true })
  writeFileSync(join(directory, 'ended.json'), '{"a"')
  expect(await readEnds(directory)).toEqual(new Map())
})

test('what is recorded is added to what was, and nothing needs no directory', async () => {
  const directory = scratch()
  await recordEnds(join(directory, 'never-made'), new Map())
  await recordEnds(directory, new Map([['a', end(1)]]))
  await recordEnds(directory, new Map([['b', end(2)]]))
  await recordEnds(directory, new Map())
  expect(Object.fromEntries(await readEnds(directory))).toEqual({ a: end(1), b: end(2) })
  expect(await readEnds(join(directory, 'never-made'))).toEqual(new Map())
})
