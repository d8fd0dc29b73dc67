/** hostPath volumes where an administrator has said which directories these may be. */
import { mkdir, mkdtemp, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bindHostPath } from './host-path.ts'
import { mountPointsBelow } from './mounts.ts'
import { removeTree } from './remove-tree.ts'

let directory: string
let target: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-host-path-'))
  target = join(directory, 'private/target')
  await mkdir(join(directory, 'allowed/within'), { recursive: true })
  await mkdir(join(directory, 'allowed-too/within'), { recursive: true })
  await mkdir(join(directory, 'outside'))
  await writeFile(join(directory, 'allowed/file'), 'allowed')
  await writeFile(join(directory, 'outside/secret'), 'secret')
  await symlink('within', join(directory, 'allowed/good'))
  await symlink('../outside', join(directory, 'allowed/out'))
  await symlink(join(directory, 'outside'), join(directory, 'allowed/absolute'))
})
afterEach(() => removeTree(directory))

const bind = (name: string, type?: string): Promise<void> =>
  bindHostPath(
    { path: `${directory}/${name}`, ...(type !== undefined && { type }) },
    { allowed: [join(directory, 'allowed')], target },
  )

describe('is mounted', () => {
  test.each<[name: string, type: string | undefined]>([
    ['allowed', undefined],
    ['allowed/', 'Directory'],
    ['allowed//within', 'DirectoryOrCreate'],
    ['allowed/good', 'Directory'],
    ['allowed/made/deep', 'DirectoryOrCreate'],
    ['allowed/file', 'File'],
    ['allowed/file', 'FileOrCreate'],
  ])('%s (%s)', async (name, type) => {
    await bind(name, type)
    const [shown, meant] = [await stat(target), await stat(join(directory, name))]
    expect([shown.dev, shown.ino]).toEqual([meant.dev, meant.ino])
    // Once, however often it is prepared.
    await bind(name, type)
    expect(await mountPointsBelow(directory)).toEqual([target])
  })

  test('and stays what it was, whatever is put in its place', async () => {
    await writeFile(join(directory, 'allowed/within/mine'), 'mine')
    await bind('allowed/within')
    await rename(join(directory, 'allowed/within'), join(directory, 'allowed/moved'))
    await symlink('../outside', join(directory, 'allowed/within'))
    expect(await readdir(target)).toEqual(['mine'])
    expect(await readFile(join(target, 'mine'), 'utf8')).toBe('mine')
  })
})

describe('is refused', () => {
  test.each<[name: string, type: string | undefined, message: RegExp]>([
    ['outside', undefined, /is not within a directory that this node allows: see hostPaths in its node.yaml/],
    ['allowed-too/within', undefined, /is not within a directory that this node allows/],
    ['allowed/../outside', undefined, /is not within a directory that this node allows/],
    ['', undefined, /is not within a directory that this node allows/],
    ['allowed/out', undefined, /does not exist, or leads out of the directory that this node allows/],
    ['allowed/out/made', 'DirectoryOrCreate', /leads out of the directory/],
    ['allowed/out/secret', 'File', /leads out of the directory/],
    ['allowed/absolute', undefined, /leads out of the directory/],
    ['allowed/missing', undefined, /does not exist/],
    ['allowed/missing', 'FileOrCreate', /does not exist/],
    ['allowed/file', 'Directory', /hostPath type check failed: .*\/allowed\/file is not a directory/],
    ['allowed/within', 'Socket', /hostPath type check failed: .*\/allowed\/within is not a socket file/],
  ])('%s (%s)', async (name, type, message) => {
    await expect(bind(name, type)).rejects.toThrow(message)
    expect(await mountPointsBelow(directory)).toEqual([])
    expect(await readdir(join(directory, 'outside'))).toEqual(['secret'])
    expect(await readdir(join(directory, 'allowed'))).not.toContain('missing')
  })
})
