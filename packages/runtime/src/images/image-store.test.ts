import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { packTar, type TarEntry } from 'modern-tar'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hostArchitecture } from '../native/native-programs.ts'
import { digest, dockerArchive, file, imageConfig } from '../testing/image-archive.ts'
import { type ImageLibrary, openImageLibrary } from './image-store.ts'

let directory: string
let library: ImageLibrary
let used: Set<string>
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-images-'))
  used = new Set()
  library = await openImageLibrary(join(directory, 'store'), {
    hostRootfs: async () => join(directory, 'host'),
    inUse: async () => used,
    maxBytes: 1024 * 1024,
  })
})
afterEach(() => rm(directory, { recursive: true, force: true }))

async function write(bytes: Uint8Array): Promise<string> {
  const path = join(directory, 'archive.tar')
  await writeFile(path, bytes)
  return path
}

const folder = (name: string): TarEntry => ({ header: { name, size: 0, type: 'directory', mode: 0o755 } })
const symlink = (name: string, linkname: string): TarEntry => ({ header: { name, size: 0, type: 'symlink', linkname } })
const hardlink = (name: string, linkname: string): TarEntry => ({ header: { name, size: 0, type: 'link', linkname } })

async function importLayers(...layers: TarEntry[][]): Promise<string> {
  await library.import(await write(await dockerArchive({ tags: ['test'], layers })))
  return (await library.rootfs('test')).rootfs
}

/** Every path of a tree with its kind and content. */
async function tree(root: string, prefix = ''): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const name of (await readdir(join(root, prefix))).sort()) {
    const path = join(prefix, name)
    const info = await lstat(join(root, path))
    if (info.isSymbolicLink()) found[path] = `-> ${await readlink(join(root, path))}`
    else if (info.isDirectory()) Object.assign(found, { [`${path}/`]: '' }, await tree(root, path))
    else found[path] = await readFile(join(root, path), 'utf8')
  }
  return found
}

async function ociArchive(options: {
  layer: Uint8Array
  compressed: Uint8Array
  name?: string
  break?: string
}): Promise<Uint8Array> {
  const config = JSON.stringify(
    imageConfig({ Entrypoint: ['/a'], Cmd: ['b'], Env: ['A=1=2', '__proto__=x'] }, [digest(options.layer)]),
  )
  const descriptor = (bytes: Uint8Array | string): Record<string, unknown> => ({
    digest: digest(bytes),
    size: bytes.length,
  })
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...descriptor(config) },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...descriptor(options.compressed) }],
  })
  const index = JSON.stringify({
    schemaVersion: 2,
    manifests: [
      { ...descriptor(manifest), platform: { os: 'linux', architecture: 'riscv64' } },
      {
        ...descriptor(manifest),
        platform: { os: 'linux', architecture: hostArchitecture() },
        annotations: options.name ? { 'org.opencontainers.image.ref.name': options.name } : {},
      },
    ],
  })
  const blob = (bytes: Uint8Array | string): TarEntry => file(`blobs/sha256/${digest(bytes).slice(7)}`, bytes)
  const blobs = [config, manifest].map(blob)
  const layer = file(`blobs/sha256/${digest(options.compressed).slice(7)}`, options.break ?? options.compressed)
  return packTar([file('oci-layout', '{"imageLayoutVersion":"1.0.0"}'), file('index.json', index), ...blobs, layer])
}

describe('import', () => {
  test.each(['none', 'gzip', 'zstd'])('an archive as it comes, in pieces of any size, compression %s', async (how) => {
    const plain = await dockerArchive({ tags: ['piped'], layers: [[file('a', 'x'.repeat(10_000))]] })
    const archive = how === 'gzip' ? gzipSync(plain) : how === 'zstd' ? zstdCompressSync(plain) : Buffer.from(plain)
    const pieces = [archive.subarray(0, 1), archive.subarray(1, 3), archive.subarray(3)]
    const images = await library.import(Readable.from(pieces, { objectMode: false }))
    expect(images.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([['docker.io/library/piped:latest', 10_000]])
    expect(await tree((await library.rootfs('piped')).rootfs)).toEqual({ a: 'x'.repeat(10_000) })
  })

  test('nothing, or too little to be an archive, as it comes', async () => {
    for (const content of ['', 'x'])
      await expect(library.import(Readable.from([content], { objectMode: false }))).rejects.toMatchObject({
        code: 'bad-archive',
      })
  })

  test('an archive that stops coming is given up when that is asked for', async () => {
    const stop = new AbortController()
    const silent = new PassThrough()
    const importing = library.import(silent, { signal: stop.signal })
    silent.write(Buffer.alloc(100))
    stop.abort()
    await expect(importing).rejects.toMatchObject({ name: 'AbortError' })
    expect((await readdir(join(directory, 'store'))).sort()).toEqual(['blobs', 'lock'])
  })

  test('the same image again, from layers that are compressed in another way', async () => {
    const layer = await packTar([file('a', 'x')])
    for (const compress of [zstdCompressSync, gzipSync])
      await library.import(await write(await ociArchive({ layer, compressed: compress(layer), name: 'app:v1' })))
    expect(await tree((await library.rootfs('app:v1')).rootfs)).toEqual({ a: 'x' })
    // What it came as first, with its configuration.
    expect(await readdir(join(directory, 'store/blobs'))).toHaveLength(2)
  })

  test('other layers under the configuration of an image that is here are refused', async () => {
    const [layer, tags] = [[file('a', 'x')], ['mine']]
    await library.import(await write(await dockerArchive({ tags, layers: [layer] })))
    const diffIds = [digest(await packTar(layer))]
    const forged = await dockerArchive({ tags: ['other'], layers: [[file('a', 'y')]], diffIds })
    await expect(library.import(await write(forged))).rejects.toMatchObject({ code: 'bad-archive' })
    expect(await library.get('other')).toBeUndefined()
  })

  test('a docker-archive, under the names that it has', async () => {
    const archive = await dockerArchive({
      tags: ['app', 'example.org:5000/team/app:v1'],
      layers: [[file('a', 'x')]],
      config: { Cmd: ['/a'], Env: ['A=1'], User: 'me', WorkingDir: '/w' },
    })
    const images = await library.import(await write(archive))
    expect(images).toEqual(
      ['docker.io/library/app:latest', 'example.org:5000/team/app:v1'].map((name) => ({
        name,
        id: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
        sizeBytes: 1,
        entrypoint: [],
        cmd: ['/a'],
        env: { A: '1' },
        workingDir: '/w',
        user: 'me',
        createdAt: Date.UTC(2026, 0, 2, 3, 4, 5),
        repoDigests: [],
        grant: 'everyone',
      })),
    )
    expect((await library.list()).map(({ name }) => name)).toEqual([
      'caisson.dev/host:latest',
      'docker.io/library/app:latest',
      'example.org:5000/team/app:v1',
    ])
  })

  test.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ['plain', (bytes) => bytes],
    ['gzipped', (bytes) => gzipSync(bytes)],
    ['zstd', (bytes) => zstdCompressSync(bytes)],
  ])('an oci-archive with a %s layer, itself gzipped, for this machine', async (_name, compress) => {
    const layer = await packTar([file('a', 'x')])
    const archive = await ociArchive({ layer, compressed: compress(layer), name: 'app:v2' })
    const [image] = await library.import(await write(gzipSync(archive)))
    expect([image?.name, image?.entrypoint, image?.cmd, Object.entries(image?.env ?? {})]).toEqual([
      'docker.io/library/app:v2',
      ['/a'],
      ['b'],
      [
        ['A', '1=2'],
        ['__proto__', 'x'],
      ],
    ])
    expect(await tree((await library.rootfs('app:v2')).rootfs)).toEqual({ a: 'x' })
  })

  test('under a name that is given', async () => {
    const layer = await packTar([file('a', 'x')])
    await expect(library.import(await write(await ociArchive({ layer, compressed: layer })))).rejects.toMatchObject({
      code: 'bad-archive',
    })
    expect(
      (await library.import(await write(await ociArchive({ layer, compressed: layer })), { name: 'mine' })).map(
        ({ name }) => name,
      ),
    ).toEqual(['docker.io/library/mine:latest'])
  })

  test('survives a restart, and can be removed unless it is used', async () => {
    await importLayers([file('a', 'x')])
    const again = await openImageLibrary(join(directory, 'store'), {
      hostRootfs: async () => '',
      inUse: async () => used,
    })
    const image = await again.get('test')
    used.add(image?.id ?? '')
    await expect(again.remove('test')).rejects.toThrow('a container uses the image docker.io/library/test:latest')
    // Another name leaves the image where it is.
    await again.import(join(directory, 'archive.tar'), { name: 'other' })
    expect([await again.remove('other'), await again.get('other')]).toEqual([true, undefined])
    await expect(again.remove('test')).rejects.toThrow('a container uses the image docker.io/library/test:latest')
    used.clear()
    expect([await again.remove('test'), await again.remove('test'), await again.get('test')]).toEqual([
      true,
      false,
      undefined,
    ])
    expect((await readdir(join(directory, 'store'), { recursive: true })).sort()).toEqual([
      'blobs',
      'lock',
      'names.json',
    ])
    await expect(again.remove('caisson.dev/host')).rejects.toThrow(
      'caisson.dev/host:latest is a view of this machine: it cannot be removed',
    )
  })
})

describe('layers', () => {
  test('later ones hide and replace what earlier ones have', async () => {
    const root = await importLayers(
      [
        folder('d/'),
        file('d/keep', '1'),
        file('d/gone', '1'),
        folder('o/'),
        file('o/old', '1'),
        file('f', '1'),
        folder('wasdir/'),
        file('wasdir/x', '1'),
      ],
      [
        file('d/.wh.gone', ''),
        file('o/new', '2'),
        file('o/.wh..wh..opq', ''),
        file('f', '2'),
        file('wasdir', 'now a file'),
        file('.wh.missing', ''),
      ],
    )
    expect(await tree(root)).toEqual({ 'd/': '', 'd/keep': '1', 'o/': '', 'o/new': '2', f: '2', wasdir: 'now a file' })
  })

  test('modes, owners, times and hard links are kept; devices are left out', async () => {
    const root = await importLayers([
      {
        header: {
          name: 'run',
          size: 1,
          type: 'file',
          mode: 0o4755,
          uid: 12,
          gid: 34,
          mtime: new Date('2020-01-01T00:00:00Z'),
        },
        body: new TextEncoder().encode('x'),
      },
      hardlink('same', 'run'),
      { header: { name: 'null', size: 0, type: 'character-device', mode: 0o666 } },
      { header: { name: 'closed/', size: 0, type: 'directory', mode: 0o500 } },
      file('closed/in', 'y'),
    ])
    const info = await stat(join(root, 'run'))
    expect([info.mode & 0o7777, info.uid, info.gid, info.mtime.toISOString(), info.nlink]).toEqual([
      0o4755,
      12,
      34,
      '2020-01-01T00:00:00.000Z',
      2,
    ])
    expect(await tree(root)).toEqual({ run: 'x', same: 'x', 'closed/': '', 'closed/in': 'y' })
    expect((await stat(join(root, 'closed'))).mode & 0o777).toBe(0o500)
  })

  test('are written through links inside the image, which cannot lead out of it', async () => {
    await mkdir(join(directory, 'outside'))
    const root = await importLayers(
      [
        folder('usr/'),
        folder('usr/lib/'),
        symlink('lib', 'usr/lib'),
        symlink('abs', '/usr'),
        symlink('up', '../../../../../../..'),
        symlink('out', join(directory, 'outside')),
      ],
      [file('lib/a', '1'), file('abs/b', '2'), file('up/c', '3'), file('out/d', '4')],
    )
    expect(await tree(root)).toMatchObject({ 'usr/lib/a': '1', 'usr/b': '2', c: '3' })
    expect(await readdir(join(directory, 'outside'))).toEqual([])
  })
})

describe('hostile archives are refused and leave nothing', () => {
  const cases: Array<[string, () => Promise<Uint8Array>]> = [
    ['an absolute name', () => dockerArchive({ tags: ['t'], layers: [[file('/etc/x', '1')]] })],
    ['a name that leads out', () => dockerArchive({ tags: ['t'], layers: [[file('a/../../x', '1')]] })],
    [
      'a hard link to a file of the machine',
      () => dockerArchive({ tags: ['t'], layers: [[hardlink('x', '/etc/passwd')]] }),
    ],
    [
      'a hard link that leads out',
      () => dockerArchive({ tags: ['t'], layers: [[hardlink('x', '../../../etc/passwd')]] }),
    ],
    [
      'links in a circle',
      () => dockerArchive({ tags: ['t'], layers: [[symlink('a', 'b'), symlink('b', 'a'), file('a/x', '1')]] }),
    ],
    [
      'a layer with another digest',
      () => dockerArchive({ tags: ['t'], layers: [[file('a', '1')]], diffIds: [`sha256:${'0'.repeat(64)}`] }),
    ],
    [
      'fewer layers than the configuration says',
      () => dockerArchive({ tags: ['t'], layers: [], diffIds: [`sha256:${'0'.repeat(64)}`] }),
    ],
    [
      'more bytes than allowed',
      () => dockerArchive({ tags: ['t'], layers: [[file('a', 'x'.repeat(2 * 1024 * 1024))]] }),
    ],
    ['a name that is none', () => dockerArchive({ tags: ['UPPER CASE'], layers: [[file('a', '1')]] })],
    ['no manifest', () => packTar([file('x', '1')])],
    ['a manifest that is no JSON', () => packTar([file('manifest.json', '{')])],
    ['a manifest of another shape', () => packTar([file('manifest.json', '{"a":1}')])],
    [
      'a blob that is damaged',
      async () => {
        const layer = await packTar([file('a', '1')])
        return ociArchive({ layer, compressed: layer, name: 't', break: 'damaged' })
      },
    ],
    [
      'half an archive',
      async () => (await dockerArchive({ tags: ['t'], layers: [[file('a', '1')]] })).subarray(0, 700),
    ],
    [
      'half a gzip stream',
      async () => gzipSync(await dockerArchive({ tags: ['t'], layers: [[file('a', '1')]] })).subarray(0, 100),
    ],
    ['no archive at all', async () => new TextEncoder().encode('hello'.repeat(1000))],
  ]
  test.each(cases)('%s', async (_name, build) => {
    const path = await write(await build())
    await expect(library.import(path)).rejects.toMatchObject({
      name: 'RuntimeError',
      code: expect.stringMatching(/^(bad-archive|invalid-name)$/),
    })
    expect((await readdir(join(directory, 'store'), { recursive: true })).sort()).toEqual(['blobs', 'lock'])
  })

  test('a small file that inflates to a large one', async () => {
    const bomb = await dockerArchive({ tags: ['t'], layers: [[file('a', Buffer.alloc(8 * 1024 * 1024))]] })
    await expect(library.import(await write(gzipSync(bomb)))).rejects.toMatchObject({ code: 'bad-archive' })
  })
})

describe('resolveUser', () => {
  test.each<[string, unknown]>([
    ['', { uid: 0, gid: 0, additionalGids: [] }],
    ['app', { uid: 1234, gid: 1235, additionalGids: [44] }],
    ['1234', { uid: 1234, gid: 1235, additionalGids: [44] }],
    ['77', { uid: 77, gid: 0, additionalGids: [] }],
    ['77:88', { uid: 77, gid: 88, additionalGids: [] }],
    ['app:more', { uid: 1234, gid: 44, additionalGids: [] }],
  ])('%j', async (user, expected) => {
    await importLayers([
      folder('etc/'),
      file('etc/passwd', 'root:x:0:0::/:/bin/sh\nbroken\napp:x:1234:1235::/:/bin/sh\n'),
      file('etc/group', 'more:x:44:app,other\n'),
    ])
    expect(await library.resolveUser({ name: 'test' }, user)).toEqual(expected)
  })

  test('names that are not there, also where the file is a link to that of the machine', async () => {
    await writeFile(join(directory, 'passwd'), 'root:x:0:0::/:/bin/sh\n')
    await importLayers([folder('etc/'), symlink('etc/passwd', `/../../../../../..${directory}/passwd`)])
    await expect(library.resolveUser({ name: 'test' }, 'root')).rejects.toMatchObject({ code: 'user-not-found' })
    await expect(library.resolveUser({ name: 'test' }, '0:nogroup')).rejects.toMatchObject({ code: 'user-not-found' })
    await expect(library.resolveUser({ name: 'absent' }, '0')).rejects.toMatchObject({ code: 'image-missing' })
  })
})
