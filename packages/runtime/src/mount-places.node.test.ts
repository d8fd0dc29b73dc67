/** What is mounted in one container, and where it begins, changes nothing of the image that others run on. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { mountPoints } from './mount-points.ts'
import type { ContainerSpec, Mount, RuntimeHandler } from './runtime.ts'
import { busyboxArchive } from './testing/busybox-archive.ts'
import { waitForMadeAhead } from './testing/made-ahead.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

let scratch: ScratchRuntime
let volume: string
beforeAll(async () => {
  scratch = await createScratchRuntime({ tools: ['runsc', 'runc', 'busybox'] })
  const archive = join(scratch.stateDirectory, 'busybox.tar')
  writeFileSync(archive, await busyboxArchive(scratch.toolsDirectory))
  await scratch.runtime.images.import(archive)
  // The host image is laid out in the background: this waits for it.
  await scratch.runtime.images.resolveUser({ name: 'caisson.dev/host' }, '0')
  volume = join(scratch.stateDirectory, 'volume')
  mkdirSync(volume)
  writeFileSync(join(volume, 'file'), 'mounted')
})
afterAll(() => scratch[Symbol.asyncDispose]())

/** Names, types, owners, modes, sizes and times of all that sandboxes share; `find` follows no links. */
function images(): string[] {
  const root = join(scratch.stateDirectory, 'images')
  const text = execFileSync('find', [root, '-path', '*/rootfs*', '-printf', '%P %y %m %U %G %s %T@ %l\n'])
  return text.toString().split('\n').sort()
}

const bind = (destination: string, changes: Partial<Mount> = {}): Mount => ({
  kind: 'bind',
  source: volume,
  destination,
  readOnly: false,
  ...changes,
})

/** At places of which the images have none. */
function mounts(): Mount[] {
  const source = join(volume, 'file')
  return [
    bind('/tenant-a-secret-name/x'),
    bind('/root/.ssh', { readOnly: true }),
    bind('/etc/nologin', { source }),
    bind('/etc/profile.d/evil.sh', { source, readOnly: true }),
    bind('/tenant-a-secret-name/x/inner'),
    { kind: 'tmpfs', destination: '/memory', readOnly: false },
    bind('/memory/within'),
  ]
}
const PLACES = ['/tenant-a-secret-name', '/root/.ssh', '/etc/nologin', '/etc/profile.d', '/memory', '/begins']

const LOOK = `pwd; cat /tenant-a-secret-name/x/file /root/.ssh/file /etc/nologin /etc/profile.d/evil.sh /memory/within/file`
const SEEN = `/begins/here\n${'mounted'.repeat(5)}`

let count = 0
async function start(
  handler: RuntimeHandler,
  changes: Partial<ContainerSpec>,
  snapshot?: { directory: string; ahead: boolean },
): Promise<ContainerSpec> {
  const id = `s${count++}`
  await scratch.runtime.createSandbox(
    sandboxSpec(id, { handler, ...(snapshot?.ahead && { snapshot: snapshot.directory }) }),
  )
  onTestFinished(() => scratch.runtime.removeSandbox(id))
  const spec = containerSpec(scratch, `${id}-c`, {
    sandboxId: id,
    args: ['/bin/sh', '-c', 'while :; do sleep 1; done'],
    ...changes,
  })
  if (!snapshot) await scratch.runtime.startContainer(spec)
  else await scratch.runtime.restoreContainer(spec, snapshot.directory)
  return spec
}

async function said({ id }: ContainerSpec, script: string): Promise<string> {
  const { stdout, stderr } = await execText(scratch.runtime, id, ['/bin/sh', '-c', script], {
    user: { uid: 0, gid: 0, additionalGids: [] },
  })
  return stdout + stderr
}

describe.each<RuntimeHandler>(['runsc', 'runc'])('under %s', (handler) => {
  describe.each(['caisson.dev/host', 'busybox'])('on %s', (image) => {
    test.each([true, false])('mounts leave the image as it was, read-only %s', async (readOnlyRootfs) => {
      const before = images()
      const one = await start(handler, { image, readOnlyRootfs, cwd: '/begins/here', mounts: mounts() })
      expect(await said(one, LOOK)).toBe(SEEN)
      const writing = 'echo kept > /tenant-a-secret-name/x/written; echo root > /own || echo refused'
      expect(await said(one, `${writing} 2> /dev/null; cat /tenant-a-secret-name/x/written`)).toContain('kept\n')
      const other = await start(handler, { image })
      expect(await said(other, `for each in ${PLACES.join(' ')}; do [ ! -e $each ] || echo $each; done`)).toBe('')
      expect(images()).toEqual(before)
      // The mounts of a sentry are in a namespace of its own: nobody has to take them away.
      const ours = (await mountPoints()).filter((point) => point.startsWith(`${scratch.stateDirectory}/`))
      if (handler === 'runsc')
        expect(ours.filter((point) => point.includes('/images') || point.endsWith('/rootfs'))).toEqual([])
    })

    test('links in a volume do not lead to the image', async () => {
      const trap = join(scratch.stateDirectory, `trap${count}`)
      mkdirSync(trap)
      symlinkSync('/etc', join(trap, 'link'))
      const before = images()
      const planted = [bind('/trap', { source: trap }), bind('/trap/link/planted', { source: join(volume, 'file') })]
      await start(handler, { image, mounts: planted }).catch((error: unknown) =>
        expect(String(error)).not.toContain(scratch.stateDirectory),
      )
      expect(images()).toEqual(before)
      expect(readdirSync('/etc')).not.toContain('planted')
    })
  })
})

test('a container beside another has places of its own', async () => {
  const before = images()
  const one = await start('runsc', { image: 'busybox' })
  const guest = containerSpec(scratch, 'guest', {
    ...one,
    id: 'guest',
    beside: one.id,
    cwd: '/begins/here',
    mounts: mounts(),
  })
  await scratch.runtime.startContainer(guest)
  expect(await said(guest, LOOK)).toBe(SEEN)
  expect(await said(one, 'ls -d /begins /tenant-a-secret-name 2> /dev/null')).toBe('')
  expect(images()).toEqual(before)
})

test('what is restored has the same places, in a sandbox made ahead too', async () => {
  const before = images()
  const spec = { image: 'busybox', cwd: '/begins/here', mounts: mounts() }
  const source = await start('runsc', spec)
  const directory = join(scratch.stateDirectory, 'snapshot')
  await scratch.runtime.checkpoint(source.sandboxId, { directory, leaveRunning: true })
  await waitForMadeAhead(scratch.stateDirectory, 1)
  for (const ahead of [true, false]) {
    const copy = await start('runsc', spec, { directory, ahead })
    expect(await said(copy, LOOK)).toBe(SEEN)
    const record = readFileSync(join(scratch.stateDirectory, 'containers', copy.id, 'supervision.json'), 'utf8')
    expect(record.includes('.blank')).toBe(ahead)
  }
  expect(images()).toEqual(before)
})

/** Says again and again that it is there, in the directory in which it began. */
const MARKS = ['/bin/sh', '-c', 'while :; do : > mark; sleep 0.1; done']
const marked = (path: string): string =>
  `/bin/busybox rm -f ${path}/mark; until [ -e ${path}/mark ]; do sleep 0.1; done; echo marked`

test('what began where its image has nothing goes on there, wherever its container is to begin', async () => {
  const before = images()
  const source = await start('runsc', { image: 'busybox', cwd: '/begins/here', args: MARKS })
  expect(await said(source, marked('/begins/here'))).toBe('marked\n')
  const directory = join(scratch.stateDirectory, 'elsewhere')
  await scratch.runtime.checkpoint(source.sandboxId, { directory, leaveRunning: true })
  const copy = await start('runsc', { image: 'busybox', cwd: '/tmp', args: MARKS }, { directory, ahead: false })
  expect(await said(copy, marked('/begins/here'))).toBe('marked\n')
  expect(images()).toEqual(before)
})

test('each container of a shared sandbox goes on where it began', async () => {
  const before = images()
  const [source, second] = await startShared(['/begins/here', '/there'])
  expect(await said(source, marked('/begins/here'))).toBe('marked\n')
  expect(await said(second, marked('/there'))).toBe('marked\n')
  const directory = join(scratch.stateDirectory, 'shared')
  await scratch.runtime.checkpoint(source.sandboxId, { directory, leaveRunning: true })
  const [one, other] = await startShared(['/tmp', ''], directory)
  expect(await said(one, marked('/begins/here'))).toBe('marked\n')
  expect(await said(other, marked('/there'))).toBe('marked\n')
  expect(images()).toEqual(before)
})

/** A sandbox of two containers, which begin somewhere or go on from a snapshot. */
async function startShared([one, other]: [string, string], snapshot?: string): Promise<[ContainerSpec, ContainerSpec]> {
  const sandboxId = `s${count++}`
  await scratch.runtime.createSandbox(sandboxSpec(sandboxId, { shared: true, ...(snapshot && { snapshot }) }))
  onTestFinished(() => scratch.runtime.removeSandbox(sandboxId))
  const begin = async (name: string, cwd: string): Promise<ContainerSpec> => {
    const spec = containerSpec(scratch, `${sandboxId}-${name}`, { sandboxId, name, image: 'busybox', args: MARKS, cwd })
    await (snapshot ? scratch.runtime.restoreContainer(spec, snapshot) : scratch.runtime.startContainer(spec))
    return spec
  }
  return [await begin('one', one), await begin('other', other)]
}
