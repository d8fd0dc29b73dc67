import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

test('a user whose line cannot be read, since no more files may be opened, is not given the group of root', async () => {
  const root = await mkdtemp(join(tmpdir(), 'caisson-users-'))
  onTestFinished(() => rm(root, { recursive: true }))
  await mkdir(join(root, 'etc'))
  await writeFile(join(root, 'etc/passwd'), 'app:x:1234:1235::/:/bin/sh\n')
  const program = `
import { openSync } from 'node:fs'
import { lookUpUser } from ${JSON.stringify(join(import.meta.dirname, 'user-lookup.ts'))}
const look = () => lookUpUser(${JSON.stringify(root)}, '1234').catch(({ code }) => code)
const before = await look()
try {
  for (;;) openSync('/dev/null')
} catch {}
console.log(JSON.stringify([before, await look()]))`
  const args = ['--nofile=64', process.execPath, '--input-type=module', '--eval', program]
  expect(JSON.parse(execFileSync('prlimit', args, { encoding: 'utf8' }))).toEqual([
    { uid: 1234, gid: 1235, additionalGids: [] },
    'EMFILE',
  ])
})
