import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openStateFiles } from './state-files.ts'

test('what a killed process had half written or half removed is taken away', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-state-'))
  try {
    const files = await openStateFiles(directory)
    await writeFile(join(directory, 'sandboxes/a.json.new'), '{"spec":')
    await files.createContainer('a-1', { bundle: {} })
    await writeFile(join(directory, '.removed-1234'), '')
    expect(await files.sandboxes()).toEqual([])
    expect([...(await files.containers()).keys()]).toEqual(['a-1'])
    expect((await readdir(join(directory, 'sandboxes'))).concat(await readdir(directory)).sort()).toEqual([
      'containers',
      'overlay',
      'sandboxes',
    ])
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
