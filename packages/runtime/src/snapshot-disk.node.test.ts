/** A snapshot for which the disk has no room, and that nobody has kept from being begun. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

const MB = 1024 * 1024
/** So much is kept free beside a snapshot: it is begun, and does not fit. */
const [DISK, HELD] = [80 * MB, 128 * MB]

const COUNTER = `
import os, time
held = os.urandom(${HELD})
count = 0
while True:
    count += 1
    with open('/tmp/count.new', 'w') as file: file.write(str(count))
    os.rename('/tmp/count.new', '/tmp/count')
    time.sleep(0.01)
`

function smallDisk(): string {
  const disk = mkdtempSync(join(tmpdir(), 'caisson-small-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'none', disk])
  onTestFinished(() => {
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true })
  })
  return disk
}

/** Counts on in a container until it is beyond a number. */
async function count({ runtime }: ScratchRuntime, beyond: number): Promise<number> {
  const script = `until [ "$(cat /tmp/count 2>/dev/null || echo 0)" -gt ${beyond} ]; do sleep 0.01; done; cat /tmp/count`
  return Number((await execText(runtime, 'main', ['sh', '-c', script])).stdout)
}

test('a sandbox goes on also where what is left of its snapshot cannot be taken away', async () => {
  await using scratch = await createScratchRuntime()
  const { runtime } = scratch
  await runtime.createSandbox(sandboxSpec('box'))
  await runtime.startContainer(containerSpec(scratch, 'main', { sandboxId: 'box', args: ['python3', '-c', COUNTER] }))
  const before = await count(scratch, 0)
  const directory = join(scratch.stateDirectory, 'snapshot')
  const held = join(directory, 'held')
  // Before what it is in goes.
  using mounted = new DisposableStack()
  const whilePaused = async (): Promise<void> => {
    mkdirSync(held)
    execFileSync('mount', ['-t', 'tmpfs', 'none', held])
    mounted.defer(() => void execFileSync('umount', [held]))
    throw new Error('no more of it')
  }
  await expect(runtime.checkpoint('box', { directory, leaveRunning: false, whilePaused })).rejects.toThrow('EBUSY')
  await count(scratch, (await count(scratch, before)) + 1)
})

test.each([true, false])('leaves nothing, and the sandbox goes on (leaveRunning: %s)', async (leaveRunning) => {
  await using scratch = await createScratchRuntime()
  const { runtime } = scratch
  await runtime.createSandbox(sandboxSpec('box'))
  await runtime.startContainer(containerSpec(scratch, 'main', { sandboxId: 'box', args: ['python3', '-c', COUNTER] }))
  const before = await count(scratch, 0)
  const disk = smallDisk()
  await expect(runtime.checkpoint('box', { directory: join(disk, 'snapshot'), leaveRunning })).rejects.toMatchObject({
    code: 'disk-full',
    message: expect.stringMatching(/^the snapshot does not fit on the disk: .*no space left on device$/),
  })
  expect(readdirSync(disk)).toEqual([])
  await count(scratch, (await count(scratch, before)) + 1)
  const directory = join(scratch.stateDirectory, 'snapshot')
  await runtime.checkpoint('box', { directory, leaveRunning })
  expect(existsSync(join(directory, 'snapshot.json'))).toBe(true)
})
