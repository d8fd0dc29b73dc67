/** Pulling from a real registry. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hostArchitecture } from '../native/native-programs.ts'
import type { RegistryConfig } from '../registry/registry-config.ts'
import type { PullProgress } from '../runtime.ts'
import { dockerArchive, file } from '../testing/image-archive.ts'
import { REGISTRY_USER, type RegistryServer, startRegistry } from '../testing/registry-server.ts'
import {
  type BuiltImage,
  buildImage,
  type Compression,
  indexOf,
  pushBuilt,
  pushDocuments,
} from '../testing/remote-image-fixture.ts'
import { type ImageLibrary, openImageLibrary } from './image-store.ts'

let plain: RegistryServer
let secure: RegistryServer
let registries: RegistryConfig
beforeAll(async () => {
  ;[plain, secure] = await Promise.all([startRegistry(), startRegistry({ tls: true, auth: true })])
  registries = { hosts: { [secure.host]: { caFile: secure.caFile ?? '' } } }
})
afterAll(async () => {
  await Promise.all([plain[Symbol.asyncDispose](), secure[Symbol.asyncDispose]()])
})

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-pull-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

function open(name = 'store', config: RegistryConfig = registries): Promise<ImageLibrary> {
  return openImageLibrary(join(directory, name), {
    hostRootfs: async () => '',
    inUse: async () => new Set(),
    registries: config,
  })
}

const LAYERS = [
  [file('a', 'one'), file('b', 'one')],
  [file('.wh.b', ''), file('c', 'two')],
]

describe('pull', () => {
  test.each<[string, Compression, boolean]>([
    ['an OCI image with gzip layers', 'gzip', false],
    ['an OCI image with zstd layers', 'zstd', false],
    ['an OCI image with plain layers', 'none', false],
    ['a Docker image', 'gzip', true],
  ])('%s', async (_name, compression, docker) => {
    const image = await buildImage(LAYERS, { compression, docker, config: { Cmd: ['/a'] } })
    const name = `${plain.host}/team/${compression}-${docker}`
    await pushBuilt(image, { host: plain.host, repository: `team/${compression}-${docker}`, tag: 'latest' })
    const library = await open()
    const progress: PullProgress[] = []
    const pulled = await library.pull(name, { trusted: true, onProgress: (each) => progress.push(each) })
    expect(pulled).toEqual({
      isNew: true,
      image: {
        name: `${name}:latest`,
        id: image.config.digest,
        sizeBytes: 9,
        entrypoint: [],
        cmd: ['/a'],
        env: {},
        workingDir: '',
        user: '',
        createdAt: Date.UTC(2026, 0, 2, 3, 4, 5),
        repoDigests: [`${name}@${image.index.digest}`],
        grant: 'everyone',
      },
    })
    const { rootfs } = await library.rootfs(name)
    expect((await readdir(rootfs)).sort()).toEqual(['a', 'c'])
    expect(progress[0]).toEqual({ kind: 'resolved', digest: image.index.digest, layers: image.layers })
    expect(progress.filter(({ kind }) => kind === 'unpacked')).toEqual(
      image.layers.map(({ digest }) => ({ kind: 'unpacked', digest })),
    )
    // The second time the registry is only asked.
    expect(await library.pull(name, { trusted: true })).toMatchObject({ isNew: false })
    const byDigest = await library.pull(`${name}@${image.index.digest}`, { trusted: true })
    expect(byDigest).toMatchObject({ isNew: false, image: { id: image.config.digest } })
    expect((await library.list()).map((each) => each.name)).toEqual(['caisson.dev/host:latest', `${name}:latest`])
  })

  test('over TLS with a user, of an authority that the configuration names', async () => {
    const image = await buildImage(LAYERS)
    const to = { host: secure.host, repository: 'private', tag: 'v1', config: registries, credential: REGISTRY_USER }
    await pushBuilt(image, to)
    const name = `${secure.host}/private:v1`
    const library = await open()
    await expect(library.pull(name)).rejects.toMatchObject({
      code: 'registry-denied',
      message: `${secure.host} does not give out private without credentials (status 401): it may be private, or not exist`,
    })
    const wrong = { username: 'ali', password: 'open barley' }
    await expect(library.pull(name, { credentials: async () => [wrong] })).rejects.toMatchObject({
      code: 'registry-denied',
    })
    const asked: string[] = []
    const { image: pulled } = await library.pull(name, {
      async credentials(server, repository) {
        asked.push(`${server} ${repository}`)
        return [wrong, { ...REGISTRY_USER, marks: ['mine'] }]
      },
    })
    expect(asked).toEqual([`${secure.host} private`])
    expect(pulled.grant).toEqual(['mine'])
    // Without the authority nothing is sent to it.
    const strict = await open('other', { hosts: { [secure.host]: {} } })
    await expect(strict.pull(name, { credentials: async () => [REGISTRY_USER] })).rejects.toMatchObject({
      code: 'registry-refused',
      message: expect.stringContaining('is not trusted'),
    })
  })

  test('what was pulled with a credential is downloaded again for whoever has not shown it', async () => {
    const image = await buildImage([[file('secret', 'x'.repeat(1000))]])
    const repository = 'shared/secret'
    await pushBuilt(image, { host: secure.host, repository, tag: 'v1', config: registries, credential: REGISTRY_USER })
    await pushBuilt(image, { host: plain.host, repository: 'known/digests', tag: 'v1' })
    const library = await open('store', { hosts: { ...registries.hosts, [plain.host]: {} } })
    const credentials = async () => [{ ...REGISTRY_USER, marks: ['mine'] }]
    await library.pull(`${secure.host}/${repository}:v1`, { credentials })
    const downloads: string[] = []
    const onProgress = (each: PullProgress): void => {
      if (each.kind === 'download' || each.kind === 'present') downloads.push(each.kind)
    }
    const other = await library.pull(`${plain.host}/known/digests:v1`, { onProgress })
    expect([other.isNew, new Set(downloads)]).toEqual([true, new Set(['download'])])
    expect(other.image.grant).toBe('everyone')
    expect((await library.get(`${secure.host}/${repository}:v1`))?.grant).toEqual(['mine'])
    // The very same content may now be used by everyone, who could have it from elsewhere anyway.
    downloads.length = 0
    await library.pull(`${secure.host}/${repository}:v1`, { credentials, onProgress })
    expect(downloads).toEqual([])
  })

  test('layers that another image brought are not downloaded again', async () => {
    const base = [file('base', 'x'.repeat(100_000))]
    await pushBuilt(await buildImage([base]), { host: plain.host, repository: 'layers/one', tag: 'v1' })
    await pushBuilt(await buildImage([base, [file('more', 'y')]]), {
      host: plain.host,
      repository: 'layers/two',
      tag: 'v1',
    })
    const library = await open()
    await library.pull(`${plain.host}/layers/one:v1`, { trusted: true })
    const present: string[] = []
    await library.pull(`${plain.host}/layers/two:v1`, {
      trusted: true,
      onProgress: (each) => each.kind === 'present' && present.push(each.digest),
    })
    expect(present).toHaveLength(1)
    expect((await readdir((await library.rootfs(`${plain.host}/layers/two:v1`)).rootfs)).sort()).toEqual([
      'base',
      'more',
    ])
  })

  test('from a mirror, and from the registry itself where the mirror cannot help', async () => {
    const image = await buildImage([[file('mirrored', 'x')]])
    await pushBuilt(image, { host: plain.host, repository: 'team/mirrored', tag: 'v1' })
    const library = await open('store', {
      mirrors: {
        'registry.invalid': ['http://127.0.0.1:9', `http://${plain.host}`],
        [plain.host]: ['http://127.0.0.1:9'],
      },
      hosts: { [plain.host]: { plainHttp: true } },
    })
    for (const name of ['registry.invalid/team/mirrored:v1', `${plain.host}/team/mirrored:v1`])
      expect((await library.pull(name)).image).toMatchObject({ name, id: image.config.digest })
  })

  test('a tag that has moved on leaves the image before it until that is removed', async () => {
    const [first, second] = [await buildImage([[file('a', '1')]]), await buildImage([[file('a', '2')]])]
    const name = `${plain.host}/moving:v1`
    const library = await open()
    await pushBuilt(first, { host: plain.host, repository: 'moving', tag: 'v1' })
    await library.pull(name, { trusted: true })
    await pushBuilt(second, { host: plain.host, repository: 'moving', tag: 'v1' })
    expect(await library.pull(name, { trusted: true })).toMatchObject({
      isNew: true,
      image: { id: second.config.digest },
    })
    const old = `${plain.host}/moving@${first.index.digest}`
    expect((await library.list()).map((each) => each.name)).toEqual(['caisson.dev/host:latest', name, old])
    expect([await library.remove(old), await library.remove(name)]).toEqual([true, true])
    expect((await readdir(join(directory, 'store'), { recursive: true })).sort()).toEqual([
      'blobs',
      'lock',
      'names.json',
    ])
  })

  test('tags, images and machines that are not there', async () => {
    const image = await buildImage([[file('a', '1')]])
    await pushBuilt(image, { host: plain.host, repository: 'there', tag: 'v1' })
    const library = await open()
    await expect(library.pull(`${plain.host}/there:v2`, { trusted: true })).rejects.toMatchObject({
      code: 'image-missing',
      message: `${plain.host} has no image there:v2`,
    })
    await expect(library.pull(`${plain.host}/not/there`, { trusted: true })).rejects.toMatchObject({
      code: 'image-missing',
    })
  })
})

describe('of an image for several machines', () => {
  const here = { os: 'linux', architecture: hostArchitecture() }
  const elsewhere = { os: 'linux', architecture: hostArchitecture() === 'amd64' ? 'arm64' : 'amd64' }
  const other = { os: 'linux', architecture: 'riscv64' }
  const newer = { ...here, variant: 'v3' }
  const windows = { ...here, os: 'windows' }
  const attestation = { os: 'unknown', architecture: 'unknown' }
  const { architecture } = here
  let [ours, theirs]: BuiltImage[] = []
  beforeAll(async () => {
    ;[ours, theirs] = [await buildImage([[file('ours', '')]]), await buildImage([[file('theirs', '')]])]
  })

  /** What is found in the image that the last of these indexes is the tag of. */
  async function pulled(
    repository: string,
    indexes: (ours: BuiltImage['manifest'], theirs: BuiltImage['manifest']) => Array<BuiltImage['index']>,
  ): Promise<string[] | string> {
    if (!ours || !theirs) throw new Error('there are no images')
    const documents = indexes(ours.manifest, theirs.manifest)
    await pushDocuments([ours, theirs], documents, { host: plain.host, repository, tag: 'latest' })
    const library = await open()
    const name = `${plain.host}/${repository}`
    try {
      await library.pull(name, { trusted: true })
    } catch (error) {
      return (error as Error).message
    }
    return await readdir((await library.rootfs(name)).rootfs)
  }

  test.each<[string, Parameters<typeof pulled>[1]]>([
    [
      'wherever-it-stands',
      (ours, theirs) => [
        indexOf([
          [theirs, elsewhere],
          [theirs, windows],
          [ours, here],
          [theirs, other],
        ]),
      ],
    ],
    [
      'not-newer-machines',
      (ours, theirs) => [
        indexOf([
          [theirs, newer],
          [ours, here],
        ]),
      ],
    ],
    [
      'not-what-is-no-image',
      (ours, theirs) => [
        indexOf([
          [theirs, attestation],
          [ours, here],
        ]),
      ],
    ],
    ['rather-than-one-that-says-nothing', (ours, theirs) => [indexOf([[theirs], [ours, here]])]],
    ['that-says-nothing', (ours, theirs) => [indexOf([[theirs, elsewhere], [ours]])]],
    [
      'of-docker',
      (ours, theirs) => [
        indexOf(
          [
            [theirs, elsewhere],
            [ours, here],
          ],
          true,
        ),
      ],
    ],
    [
      'in-an-index-of-the-index',
      (ours, theirs) => {
        const [one, two] = [
          indexOf([[theirs, elsewhere]]),
          indexOf([
            [theirs, newer],
            [ours, here],
          ]),
        ]
        return [one, two, indexOf([[one], [two]])]
      },
    ],
  ])('the one for this machine is taken: %s', async (repository, indexes) => {
    expect(await pulled(repository, indexes)).toEqual(['ours'])
  })

  test.each<[string, Parameters<typeof pulled>[1], string]>([
    [
      'nothing-for-it',
      (_ours, theirs) => [
        indexOf([
          [theirs, elsewhere],
          [theirs, newer],
          [theirs, windows],
          [theirs, attestation],
        ]),
      ],
      `, only for linux/${architecture}/v3, linux/${elsewhere.architecture}, windows/${architecture}`,
    ],
    [
      'nothing-in-its-indexes',
      (_ours, theirs) => {
        const inner = indexOf([[theirs, other]])
        return [inner, indexOf([[inner]])]
      },
      ', only for linux/riscv64',
    ],
    ['nothing-but-an-attestation', (_ours, theirs) => [indexOf([[theirs, attestation]])], ''],
  ])('there is none, and it says what there is: %s', async (repository, indexes, instead) => {
    expect(await pulled(repository, indexes)).toBe(
      `the image is not for this machine: it has nothing for linux/${architecture}${instead}`,
    )
  })
})

test('an image that is exported and imported elsewhere is the same one', async () => {
  const image = await buildImage(LAYERS, { config: { Cmd: ['/a'] } })
  await pushBuilt(image, { host: plain.host, repository: 'exported', tag: 'v1' })
  const library = await open()
  await library.pull(`${plain.host}/exported:v1`, { trusted: true })
  const target = new PassThrough()
  const [archive] = await Promise.all([buffer(target), library.export([`${plain.host}/exported:v1`], target)])
  await writeFile(join(directory, 'archive.tar'), archive)
  const other = await open('other')
  const [imported] = await other.import(join(directory, 'archive.tar'))
  expect(imported).toMatchObject({ name: `${plain.host}/exported:v1`, id: image.config.digest, cmd: ['/a'] })
  expect(await readFile(join((await other.rootfs(imported?.name ?? '')).rootfs, 'c'), 'utf8')).toBe('two')
})

describe('push', () => {
  test('what was pulled is the same image there, and what is there is not sent again', async () => {
    const image = await buildImage(LAYERS, { config: { Cmd: ['/a'] } })
    await pushBuilt(image, { host: plain.host, repository: 'pushed/from', tag: 'v1' })
    const library = await open()
    await library.pull(`${plain.host}/pushed/from:v1`, { trusted: true })
    const to = `${secure.host}/pushed/to:v2`
    const credentials = async () => [REGISTRY_USER]
    const sent: boolean[] = []
    const push = (): Promise<string> =>
      library.push(`${plain.host}/pushed/from:v1`, {
        to,
        credentials,
        onProgress: ({ present }) => sent.push(!present),
      })
    expect(await push()).toBe(image.manifest.digest)
    expect(await push()).toBe(image.manifest.digest)
    expect(sent).toEqual([true, true, true, false, false, false])
    const other = await open('other')
    expect((await other.pull(to, { credentials })).image).toMatchObject({ id: image.config.digest, cmd: ['/a'] })
    expect(await readFile(join((await other.rootfs(to)).rootfs, 'c'), 'utf8')).toBe('two')
  })

  test('an image from an archive that had no manifest gets one', async () => {
    const library = await open()
    const archive = join(directory, 'docker.tar')
    await writeFile(archive, await dockerArchive({ tags: ['archived:v1'], layers: [[file('a', 'archived')]] }))
    const [imported] = await library.import(archive)
    const to = `${plain.host}/pushed/archived:v1`
    const digest = await library.push('archived:v1', { to })
    const other = await open('other')
    expect((await other.pull(`${plain.host}/pushed/archived@${digest}`, { trusted: true })).image.id).toBe(imported?.id)
  })

  test('is refused without credentials, to a digest, of what is not here and of the host image', async () => {
    const library = await open()
    const archive = join(directory, 'docker.tar')
    await writeFile(archive, await dockerArchive({ tags: ['archived:v1'], layers: [[file('a', 'archived')]] }))
    await library.import(archive)
    const push = (name: string, to: string): Promise<string> => library.push(name, { to })
    await expect(push('archived:v1', `${secure.host}/pushed/denied:v1`)).rejects.toMatchObject({
      code: 'registry-denied',
    })
    await expect(push('archived:v1', `${plain.host}/a@sha256:${'0'.repeat(64)}`)).rejects.toMatchObject({
      code: 'invalid-name',
    })
    await expect(push('absent:v1', `${plain.host}/absent:v1`)).rejects.toMatchObject({ code: 'image-missing' })
    await expect(push('caisson.dev/host', `${plain.host}/host:v1`)).rejects.toMatchObject({ code: 'failed' })
    expect((await readdir(join(directory, 'store'))).filter((name) => name.startsWith('.'))).toEqual([])
  })
})
