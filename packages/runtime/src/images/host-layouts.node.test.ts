/** What a state directory has of earlier times when it is opened: it goes, unless containers run on it. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { containerSpec, createScratchRuntime, type ScratchRuntime, sandboxSpec } from '../testing/scratch-runtime.ts'

const OLD = '0123456789abcdef'

let stateDirectory: string
let layouts: string
let scratch: ScratchRuntime
beforeEach(async () => {
  stateDirectory = mkdtempSync(join(tmpdir(), 'caisson-layouts-'))
  layouts = join(stateDirectory, 'images/host')
  scratch = await createScratchRuntime({ stateDirectory })
})
afterEach(() => scratch[Symbol.asyncDispose]())

/** Another process has had it open afterwards, and is done with what it takes away; what runs goes on. */
async function reopen(): Promise<void> {
  for (let opened = 0; opened < 2; opened++) {
    await scratch.runtime[Symbol.asyncDispose]()
    scratch = await createScratchRuntime({ stateDirectory })
  }
}

function plantOld(): string {
  const rootfs = join(layouts, OLD, 'rootfs')
  mkdirSync(rootfs, { recursive: true })
  writeFileSync(join(rootfs, 'file'), '')
  return rootfs
}

const laidOut = (): string[] => readdirSync(layouts).filter((name) => name !== 'empty')

test('a layout of the host image goes with the last container that runs on it', async () => {
  await scratch.runtime.createSandbox(sandboxSpec('box'))
  await scratch.runtime.startContainer(containerSpec(scratch, 'main', { sandboxId: 'box', args: ['sleep', '1000'] }))
  const [current = ''] = laidOut()
  const old = plantOld()
  const link = join(stateDirectory, 'containers/main/image-rootfs')
  rmSync(link)
  // Nobody knows what a container of an earlier version runs on.
  await reopen()
  expect(laidOut().sort()).toEqual([OLD, current].sort())
  symlinkSync(old, link)
  await reopen()
  expect(laidOut().sort()).toEqual([OLD, current].sort())
  await scratch.runtime.removeSandbox('box')
  await reopen()
  expect(laidOut()).toEqual([current])
})

test('a layout stays with what is mounted in it', async () => {
  const inside = join(plantOld(), 'usr')
  const mine = join(stateDirectory, 'mine')
  for (const path of [inside, mine]) mkdirSync(path)
  writeFileSync(join(mine, 'file'), '')
  execFileSync('mount', ['--bind', mine, inside])
  try {
    await reopen()
    expect([laidOut().includes(OLD), readdirSync(mine)]).toEqual([true, ['file']])
  } finally {
    execFileSync('umount', [inside])
  }
  await reopen()
  expect(laidOut()).not.toContain(OLD)
})

test('an image goes that whoever was killed had not named yet', async () => {
  const image = join(stateDirectory, 'images', `${'ab'.repeat(32)}.2`)
  mkdirSync(image)
  await reopen()
  expect(existsSync(image)).toBe(false)
})
