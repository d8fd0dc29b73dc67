/** One store, several processes: `caisson image` works beside a daemon that has the same store open. */
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Image } from '../runtime.ts'
import { openImageLibrary } from './image-store.ts'
import { openImageStore } from './open-image-store.ts'
import { createStoreLock } from './store-lock.ts'

let state: string
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'caisson-images-'))
})
afterEach(() => rmSync(state, { recursive: true, force: true }))

/** In the store. */
const directoryOf = (image: Image | undefined): string => `${image?.id.slice('sha256:'.length)}.2`

/** A docker-archive of one layer with one file, and so many others. */
function archive(name: string, content: string, others = 0): string {
  const work = mkdtempSync(join(state, 'archive-'))
  mkdirSync(join(work, 'root'))
  writeFileSync(join(work, 'root/file'), content)
  for (let index = 0; index < others; index++) writeFileSync(join(work, `root/${index}`), '')
  execFileSync('tar', ['--owner=0', '--group=0', '-C', join(work, 'root'), '-cf', join(work, 'layer.tar'), '.'])
  const digest = createHash('sha256')
    .update(execFileSync('cat', [join(work, 'layer.tar')]))
    .digest('hex')
  writeFileSync(
    join(work, 'config.json'),
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
    }),
  )
  writeFileSync(
    join(work, 'manifest.json'),
    JSON.stringify([{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }]),
  )
  const file = join(state, `${content}.tar`)
  execFileSync('tar', ['-C', work, '-cf', file, 'manifest.json', 'config.json', 'layer.tar'])
  return file
}

/** The first `rm` that is run in this test stops before it removes anything. `begun` is what it is to remove. */
function holdNextRm(): { begun(): Promise<string>; goOn(): Promise<void> } {
  const work = mkdtempSync(join(state, 'rm-'))
  const [begun, goOn] = [join(work, 'begun'), join(work, 'go-on')]
  execFileSync('mkfifo', [begun, goOn])
  const hold = `mkdir ${work}/first 2>/dev/null && { echo "$4" >${begun}; read _ <${goOn}; }`
  writeFileSync(join(work, 'rm'), `#!/bin/sh\n${hold}\nexec /bin/rm "$@"\n`, { mode: 0o755 })
  vi.stubEnv('PATH', `${work}:${process.env['PATH']}`)
  onTestFinished(() => void vi.unstubAllEnvs())
  return { begun: async () => (await readFile(begun, 'utf8')).trim(), goOn: () => writeFile(goOn, '\n') }
}

const names = async (store: { list(): Promise<Array<{ name: string }>> }): Promise<string[]> =>
  (await store.list()).map(({ name }) => name).filter((name) => !name.startsWith('caisson.dev/'))

describe('an image store that several have open', () => {
  test('shows at once what another has imported and removed', async () => {
    const [one, other] = [await openImageStore(state), await openImageStore(state)]
    await one.import(archive('a:1', 'first'))
    expect(await names(other)).toEqual(['docker.io/library/a:1'])
    expect(await other.get('a:1')).toMatchObject({ name: 'docker.io/library/a:1' })
    expect(await other.remove('a:1')).toBe(true)
    expect(await names(one)).toEqual([])
    expect(await one.get('a:1')).toBeUndefined()
  })

  test('loses no name where two import at the same time', async () => {
    const stores = await Promise.all(Array.from({ length: 4 }, () => openImageStore(state)))
    const files = Array.from({ length: 12 }, (_, index) => archive(`image${index}:1`, `content-${index}`))
    await Promise.all(files.map(async (file, index) => stores[index % 4]?.import(file)))
    expect((await names(await openImageStore(state))).sort()).toEqual(
      files.map((_, index) => `docker.io/library/image${index}:1`).sort(),
    )
  })

  test('unpacks anew what another removed while it was being imported', async () => {
    const images = join(state, 'images')
    const one = await openImageStore(state)
    const file = archive('a:1', 'first')
    await one.import(file)
    const lock = createStoreLock(join(images, 'lock'))
    let again: Promise<unknown> = Promise.resolve()
    await lock.hold(async () => {
      // It finds the image and waits for the lock; meanwhile the image goes.
      again = one.import(file)
      await new Promise<void>((resolve) => {
        const look = setInterval(() => {
          if (readdirSync(images).some((name) => name.startsWith('.import-'))) {
            clearInterval(look)
            resolve()
          }
        }, 1)
      })
      for (const name of readdirSync(images))
        if (/^[0-9a-f]{64}\.2$/.test(name)) rmSync(join(images, name), { recursive: true })
    })
    await again
    const image = await one.get('a:1')
    expect(existsSync(join(images, directoryOf(image), 'rootfs/file'))).toBe(true)
  })

  test('keeps an image on which a container of another process runs', async () => {
    const store = await openImageStore(state)
    const [image] = await store.import(archive('a:1', 'first'))
    const container = join(state, 'containers/c1')
    mkdirSync(container, { recursive: true })
    writeFileSync(join(container, 'spec.json'), JSON.stringify({ spec: {}, imageId: image?.id }))
    await expect(store.remove('a:1')).rejects.toThrow('a container uses the image docker.io/library/a:1')
    // A name that moves on leaves the image where it is.
    await store.import(archive('a:1', 'second'))
    expect(existsSync(join(state, 'images', directoryOf(image), 'rootfs/file'))).toBe(true)
    rmSync(container, { recursive: true })
    expect(await store.remove('a:1')).toBe(true)
    expect(readdirSync(join(state, 'images')).filter((name) => /^[0-9a-f]{64}|^\./.test(name))).toEqual([])
  })

  test('opens, and takes images in, while it cannot be known which are needed, and lets none go meanwhile', async () => {
    const [image] = await (await openImageStore(state)).import(archive('a:1', 'first'))
    const imagesKept = (): Promise<never> => Promise.reject(new Error('not now'))
    const store = await openImageStore(state, { imagesKept })
    await store.import(archive('a:1', 'second'))
    const isThere = (): boolean => existsSync(join(state, 'images', directoryOf(image), 'rootfs/file'))
    expect(isThere()).toBe(true)
    await openImageStore(state, { imagesKept })
    expect(isThere()).toBe(true)
    await expect(store.remove('a:1')).rejects.toThrow('not now')
    await openImageStore(state)
    expect(isThere()).toBe(false)
  })

  test('does not remove an image between its lookup and the container that is made of it', async () => {
    const [one, other] = [await openLibrary(), await openImageStore(state)]
    await other.import(archive('a:1', 'first'))
    const looked = Promise.withResolvers<void>()
    const made = Promise.withResolvers<void>()
    const starting = one.withRootfs({ name: 'a:1' }, async ({ image }) => {
      looked.resolve()
      await made.promise
      mkdirSync(join(state, 'containers/c1'), { recursive: true })
      writeFileSync(join(state, 'containers/c1/spec.json'), JSON.stringify({ spec: {}, imageId: image.id }))
    })
    await looked.promise
    const removed = other.remove('a:1')
    made.resolve()
    await starting
    await expect(removed).rejects.toThrow('a container uses the image')
  })

  test('deletes what is removed when others may go on again: they wait for a large image no longer than for a small one', async () => {
    const store = await openImageStore(state)
    const [large] = await store.import(archive('large:1', 'first', 1_000))
    await store.import(archive('small:1', 'second'))
    // However long the files of the large one take.
    const rm = holdNextRm()
    const removed = store.remove('large:1')
    expect(readdirSync(await rm.begun())).toContain(`unnamed-${directoryOf(large)}`)
    await store.remove('small:1')
    await rm.goOn()
    expect(await removed).toBe(true)
    expect(readdirSync(join(state, 'images')).filter((name) => name.startsWith('.import-'))).toEqual([])
  })

  test('takes away the half imports of the dead and leaves those of the living', async () => {
    const images = join(state, 'images')
    await openImageStore(state)
    const own = execFileSync('cat', [`/proc/${process.pid}/stat`], { encoding: 'utf8' })
    const startTime = own.slice(own.lastIndexOf(')') + 2).split(' ')[19]
    const [living, dead, reused] = [
      `.import-${process.pid}-${startTime}-a`,
      '.import-4194399-1-b',
      `.import-${process.pid}-1-c`,
    ]
    for (const name of [living, dead, reused]) mkdirSync(join(images, name))
    await openImageStore(state)
    expect(readdirSync(images).filter((name) => name.startsWith('.import-'))).toEqual([living])
  })
})

describe('the lock of an image store', () => {
  test('is free again when the process that held it was killed', async () => {
    const file = join(state, 'lock')
    const module = JSON.stringify(join(import.meta.dirname, 'store-lock.ts'))
    const holder = spawn(process.execPath, [
      '--input-type=module',
      '-e',
      `const { createStoreLock } = await import(${module})
       await createStoreLock(${JSON.stringify(file)}).hold(() => new Promise(() => { console.log('held'); setInterval(() => {}, 1000) }))`,
    ])
    const [line] = (await once(createInterface(holder.stdout), 'line')) as [string]
    expect(line).toBe('held')
    const order: string[] = []
    const held = createStoreLock(file).hold(async () => order.push('held here'))
    order.push('killed')
    holder.kill('SIGKILL')
    await held
    expect(order).toEqual(['killed', 'held here'])
  })

  test('passes from one to the next when a change has failed', async () => {
    const lock = createStoreLock(join(state, 'lock'))
    await expect(lock.hold(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await lock.hold(async () => 'yes')).toBe('yes')
  })
})

function openLibrary(): ReturnType<typeof openImageLibrary> {
  return openImageLibrary(join(state, 'images'), {
    hostRootfs: () => Promise.reject(new Error('not the host image')),
    inUse: () => Promise.resolve(new Set<string>()),
  })
}
