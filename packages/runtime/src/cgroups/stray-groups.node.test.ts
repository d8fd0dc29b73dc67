import { existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { containerSpec, createScratchRuntime, sandboxSpec } from '../testing/scratch-runtime.ts'
import { findCgroupTree } from './cgroup-tree.ts'
import { cgroupName } from './sandbox-cgroups.ts'
import { findStrayCgroups, removeStrayCgroup } from './stray-groups.ts'

const LATER = Date.now() + 3_600_000

test('an empty group without an owner is found and removed, one that holds a sandbox is not', async () => {
  const tree = findCgroupTree()
  const root = tree?.controllers.get('memory') ?? ''
  const empty = join(root, 'caisson-stray1')
  mkdirSync(join(empty, 'sandbox'), { recursive: true })
  onTestFinished(() => {
    for (const path of [join(empty, 'sandbox'), empty]) if (existsSync(path)) rmdirSync(path)
  })
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('held', { limits: { memoryBytes: 2 ** 28 } }))
  const spec = containerSpec(scratch, 'held-1', { sandboxId: 'held', args: ['/bin/sleep', '1000'] })
  await scratch.runtime.startContainer(spec)
  const own = join(root, cgroupName(scratch.stateDirectory))
  // Young ones are left alone.
  expect(await findStrayCgroups(tree)).not.toContain(empty)
  const found = await findStrayCgroups(tree, LATER)
  expect([found.includes(empty), found.includes(own)]).toEqual([true, false])
  await removeStrayCgroup(empty)
  await removeStrayCgroup(own)
  expect([existsSync(empty), existsSync(own)]).toEqual([false, true])

  // One that a running process left empty is made again for its next sandbox.
  await scratch.runtime.removeSandbox('held')
  await removeStrayCgroup(own)
  expect(existsSync(own)).toBe(false)
  for (const other of new Set(tree?.controllers.values()))
    await removeStrayCgroup(join(other, cgroupName(scratch.stateDirectory)))
  await scratch.runtime.createSandbox(sandboxSpec('next', { limits: { memoryBytes: 2 ** 28 } }))
  expect(existsSync(join(own, 'next'))).toBe(true)
})
