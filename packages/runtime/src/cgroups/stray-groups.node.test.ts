import { existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { registerNetwork, unregisterNetwork } from '../network/network-register.ts'
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
  // As long as it is known whose it is.
  const tag = own.slice(-6)
  const place = { range: '10.99.0.0/16', gateway: '10.99.0.1', prober: '10.99.0.2' }
  await registerNetwork(tag, { stateDirectory: scratch.stateDirectory, ...place })
  expect(await findStrayCgroups(tree, LATER)).not.toContain(own)
  await unregisterNetwork(tag)
  expect(await findStrayCgroups(tree, LATER)).toContain(own)
  await removeStrayCgroup(own)
  expect(existsSync(own)).toBe(false)
  for (const other of new Set(tree?.controllers.values()))
    await removeStrayCgroup(join(other, cgroupName(scratch.stateDirectory)))
  await scratch.runtime.createSandbox(sandboxSpec('next', { limits: { memoryBytes: 2 ** 28 } }))
  expect(existsSync(join(own, 'next'))).toBe(true)
})
