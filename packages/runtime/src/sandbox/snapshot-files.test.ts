import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openSnapshot } from './snapshot-files.ts'

/** Whoever is told that a snapshot is damaged may take it away. */
test.each<[what: string, make: (directory: string) => Promise<unknown>, expected: string]>([
  ['a manifest that is missing', async () => {}, 'snapshot-damaged'],
  ['a manifest that was cut off', (directory) => writeFile(join(directory, 'snapshot.json'), '{'), 'snapshot-damaged'],
  ['a manifest that cannot be read now', (directory) => mkdir(join(directory, 'snapshot.json')), 'EISDIR'],
  ['a file that is missing', (directory) => writeManifest(directory), 'snapshot-damaged'],
  [
    'a file that cannot be looked at now',
    async (directory) => {
      await writeManifest(directory)
      await symlink('pages.img', join(directory, 'pages.img'))
    },
    'ELOOP',
  ],
])('a snapshot with %s is damaged only where that is known', async (_what, make, expected) => {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-snapshot-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  await make(directory)
  const failure = await openSnapshot(directory).catch((error: { code?: string; cause?: { code?: string } }) => error)
  expect(failure).toMatchObject(
    expected.startsWith('E') ? { message: expect.stringContaining(expected) } : { code: expected },
  )
})

function writeManifest(directory: string): Promise<void> {
  const files = [{ name: 'pages.img', sizeBytes: 1, digest: 'sha256:' }]
  return writeFile(join(directory, 'snapshot.json'), JSON.stringify({ format: 1, files }))
}
