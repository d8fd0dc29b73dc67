import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { removeDeep } from './remove-deep.ts'

/** As soon as something is missing from the directory `d` that it is given, puts a link in its place. */
const SWAP = `
import os, sys
doomed, outside, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
print('watching', flush=True)
while len(os.listdir(doomed + '/d')) == count: pass
os.rename(doomed + '/d', doomed + '/e')
os.symlink(outside, doomed + '/d')
print('swapped', flush=True)
`

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'caisson-remove-deep-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

test.each([100, 5_000])('a directory of %d files that becomes a link meanwhile leads nowhere', async (files) => {
  const [doomed, outside] = [join(root, 'doomed'), join(root, 'outside')]
  for (const directory of [join(doomed, 'd'), outside]) {
    mkdirSync(directory, { recursive: true })
    for (let index = 0; index < files; index++) writeFileSync(join(directory, String(index)), '')
  }
  const attacker = spawn('python3', ['-c', SWAP, doomed, outside, String(files)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(attacker, 'exit')
  await once(attacker.stdout, 'data')
  // What was put there at the last moment may be left: it is removed by the next attempt.
  await removeDeep(doomed).catch(() => undefined)
  expect(await ended).toEqual([0, null])
  await removeDeep(doomed)
  expect(existsSync(doomed)).toBe(false)
  expect(readdirSync(outside)).toHaveLength(files)
})

test('goes with whatever is in it, however it is called, and wherever its links lead', async () => {
  const [doomed, outside] = [join(root, 'doomed'), join(root, 'outside')]
  mkdirSync(outside)
  writeFileSync(join(outside, 'kept'), '')
  mkdirSync(join(doomed, 'a/b'), { recursive: true })
  const strange = Buffer.concat([Buffer.from(`${doomed}/a/`), Buffer.from([0xff, 0xfe, 0x0a, 0x41])])
  mkdirSync(strange)
  writeFileSync(Buffer.concat([strange, Buffer.from('/\u00e9')]), '')
  symlinkSync(outside, join(doomed, 'a/link'))
  symlinkSync('/nowhere', join(doomed, 'broken'))
  linkSync(join(outside, 'kept'), join(doomed, 'hard'))
  execFileSync('mkfifo', [join(doomed, 'a/pipe')])
  chmodSync(join(doomed, 'a/b'), 0)
  // No program is needed for so little.
  vi.stubEnv('PATH', root)
  await removeDeep(doomed)
  expect([existsSync(doomed), readdirSync(outside)]).toEqual([false, ['kept']])
  await removeDeep(doomed)
})

test('goes however deep it is', async () => {
  const doomed = join(root, 'doomed')
  mkdirSync(join(doomed, ...Array<string>(1_000).fill('d')), { recursive: true })
  await removeDeep(doomed)
  expect(existsSync(doomed)).toBe(false)
})
