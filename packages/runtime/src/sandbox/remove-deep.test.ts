import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { removeDeep } from './remove-deep.ts'

const FILES = 5_000

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

test('a directory that becomes a link while it is removed leads nowhere', async () => {
  const root = mkdtempSync(join(tmpdir(), 'caisson-remove-deep-'))
  try {
    const [doomed, outside] = [join(root, 'doomed'), join(root, 'outside')]
    for (const directory of [join(doomed, 'd'), outside]) {
      mkdirSync(directory, { recursive: true })
      for (let index = 0; index < FILES; index++) writeFileSync(join(directory, String(index)), '')
    }
    const attacker = spawn('python3', ['-c', SWAP, doomed, outside, String(FILES)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(attacker, 'exit')
    await once(attacker.stdout, 'data')
    // What was put there at the last moment may be left: it is removed by the next attempt.
    await removeDeep(doomed).catch(() => undefined)
    expect(await ended).toEqual([0, null])
    await removeDeep(doomed)
    expect(existsSync(doomed)).toBe(false)
    expect(readdirSync(outside)).toHaveLength(FILES)
  } finally {
    rmSync(root, { recursive: true })
  }
})
