import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
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

test('what cannot be read is not taken for what is not there', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-state-'))
  try {
    const files = await openStateFiles(directory)
    const made = await files.createContainer('a-1', { bundle: {} })
    await writeFile(join(made, 'supervision.json'), '{"half')
    expect((await files.containers()).get('a-1')).toMatchObject({ state: undefined })
    await rm(join(made, 'supervision.json'))
    await mkdir(join(made, 'supervision.json'))
    await expect(files.containers()).rejects.toThrow('EISDIR')
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})

test('what a container nested deeper than a path is long goes with it, and keeps nobody from the others', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-state-'))
  try {
    const files = await openStateFiles(directory)
    const made = await files.createContainer('a-1', { bundle: {} })
    await nestDeeply(join(made, 'upper'))
    await files.removeContainer('a-1')
    expect((await readdir(directory)).sort()).toEqual(['containers', 'overlay', 'sandboxes'])
    // What a killed process had begun to remove.
    await nestDeeply(join(directory, '.removed-1234'))
    await files.createContainer('b-1', { bundle: {} })
    expect([...(await files.containers()).keys()]).toEqual(['b-1'])
    expect((await readdir(directory)).sort()).toEqual(['containers', 'overlay', 'sandboxes'])
  } finally {
    execFileSync('rm', ['-rf', '--', directory])
  }
})

/** No path to its end is one that the kernel takes: it is put together of two halves that are. */
async function nestDeeply(directory: string): Promise<void> {
  const half = Array<string>(12).fill('d'.repeat(250)).join('/')
  const [above, below] = [join(directory, half), join(directory, 'below')]
  await mkdir(above, { recursive: true })
  await mkdir(join(below, half), { recursive: true })
  await rename(below, join(above, 'below'))
}
