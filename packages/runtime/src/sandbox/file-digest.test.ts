import { createHash, randomBytes } from 'node:crypto'
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { digestGrowing, fileDigest } from './file-digest.ts'

let path: string
beforeEach(() => {
  const directory = mkdtempSync(join(tmpdir(), 'caisson-digest-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  path = join(directory, 'file')
})

const MB = 1024 * 1024
const sha256 = (...pieces: Buffer[]): string => {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return `sha256:${hash.digest('hex')}`
}

test.each([0, 1, MB - 1, MB, 3 * MB + 5])('a file of %i bytes has its digest, whole or as it grows', async (size) => {
  const bytes = randomBytes(size)
  writeFileSync(path, bytes)
  expect(await fileDigest(path)).toBe(sha256(bytes))
  await using growing = await digestGrowing(path)
  expect(await growing.end()).toBe(sha256(bytes))
})

test('what is written at any moment before the end is in the digest of a file that grows', async () => {
  writeFileSync(path, '')
  await using growing = await digestGrowing(path)
  const pieces: Buffer[] = []
  for (let turns = 0; turns < 60; turns++) {
    // Now and then nothing comes for long enough that it has read all there is, and waits.
    for (let waited = 0; waited < turns; waited++) await turn()
    const piece = randomBytes(turns % 7 === 0 ? MB + turns : 100 * turns)
    pieces.push(piece)
    appendFileSync(path, piece)
  }
  expect(await growing.end()).toBe(sha256(...pieces))
})

test('a file that is given up is let go of', async () => {
  writeFileSync(path, 'some')
  const growing = await digestGrowing(path)
  await growing[Symbol.asyncDispose]()
  appendFileSync(path, 'more')
  expect(await growing.end()).toBe(sha256(Buffer.from('some')))
})
