import { mkdir, mkdtempDisposable, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { removeDamagedState } from './damaged-state.ts'

test('what a runtime that writes down something else has of a container is not damaged', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'caisson-state-'))
  await mkdir(join(root.path, 'a.c'))
  await writeFile(join(root.path, 'a.c', 'status'), '')
  expect(await removeDamagedState({ root: root.path, containerId: 'a.c', isSentry: false })).toBe(false)
  expect(await readdir(root.path)).toEqual(['a.c'])
})
