import { mkdir, mkdtempDisposable, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openSandboxCgroups } from './sandbox-cgroups.ts'

test('a group that cannot be looked at is not taken for one that is not there, and its sandbox for one without limits', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'caisson-cgroups-'))
  const controllers = new Map([['memory' as const, scratch.path]])
  const tree = { version: 2 as const, controllers, hierarchies: [scratch.path] }
  const groups = openSandboxCgroups(tree, 'all')
  const all = join(scratch.path, 'all')
  expect(await groups.get('a')).toBeUndefined()
  await writeFile(all, '')
  await expect(groups.get('a')).rejects.toThrow('ENOTDIR')
  await rm(all)
  await mkdir(join(all, 'a'), { recursive: true })
  expect((await groups.get('a'))?.joins).toEqual([join(all, 'a', 'cgroup.procs')])
})

test('where it cannot be looked which groups there are, that is told: sandboxes that are no more may run in them', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'caisson-cgroups-'))
  const controllers = new Map([['memory' as const, scratch.path]])
  const groups = openSandboxCgroups({ version: 2, controllers, hierarchies: [scratch.path] }, 'all')
  const told: string[] = []
  const recover = (): Promise<void> =>
    groups.recover(new Set(), (error, where) => told.push(`${where}: ${(error as Error).message}`))
  await recover()
  expect(told).toEqual([])
  const all = join(scratch.path, 'all')
  await writeFile(all, '')
  await recover()
  expect(told).toEqual([expect.stringMatching(`^the control groups below ${all}: ENOTDIR`)])
})
