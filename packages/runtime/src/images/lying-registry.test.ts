/** Registries that lie: each lie is told apart with a reason, and leaves nothing. */
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { layerOf, MAX_BYTES, type NamedPull, useHostilePulls } from '../testing/hostile-pulls.ts'
import { digest, file } from '../testing/image-archive.ts'
import { type BuiltImage, buildImage, document } from '../testing/remote-image-fixture.ts'
import { first, manifest, type Script, serves, when } from '../testing/scripted-registry.ts'

const INDEX = 'application/vnd.oci.image.index.v1+json'
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

const t = useHostilePulls()

test('the fixtures are good where nothing is wrong', async () => {
  expect(await t.pull([serves(t.image)])).toEqual(['a', 'b'])
})

function withManifest(content: Record<string, unknown>): Script[] {
  const made = document(MANIFEST, { config: t.image.config, layers: t.image.layers, ...content })
  return [manifest(made.mediaType, made.text), serves(t.image)]
}

/** An index of an index of an index …, each with its true digest. */
function nestedIndexes(depth: number): Script[] {
  const documents = new Map<string, string>()
  let inner = { mediaType: t.image.manifest.mediaType, digest: t.image.manifest.digest, size: t.image.manifest.size }
  let top = ''
  for (let level = 0; level < depth; level++) {
    const { mediaType, digest: made, size, text } = document(INDEX, { manifests: [inner] })
    documents.set(made, text)
    inner = { mediaType, digest: made, size }
    top = text
  }
  return [
    (request, response) => {
      const reference = /\/manifests\/([^/]+)$/.exec(request.url ?? '')?.[1] ?? ''
      const text = reference === 'latest' ? top : documents.get(reference)
      if (text === undefined) return false
      response.setHeader('content-type', INDEX)
      response.end(text)
      return true
    },
    serves(t.image),
  ]
}

/** An index of as many indexes, none of which has anything for any machine. */
function manyIndexes(count: number): Script[] {
  const inner = Array.from({ length: count }, (_, each) => document(INDEX, { manifests: [], annotations: { each } }))
  const top = document(INDEX, { manifests: inner.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })) })
  return [
    (request, response) => {
      const reference = /\/manifests\/([^/]+)$/.exec(request.url ?? '')?.[1] ?? ''
      response.setHeader('content-type', INDEX)
      response.end((inner.find(({ digest }) => digest === reference) ?? top).text)
      return true
    },
  ]
}

const lies: Array<[name: string, scripts: () => Script[], message: RegExp, options?: NamedPull]> = [
  [
    'another manifest than the digest asks for',
    () => [serves(t.image)],
    /gave a manifest with the digest/,
    { name: `app@sha256:${'0'.repeat(64)}` },
  ],
  [
    'a digest in its header that is not the manifest’s',
    () => [
      when(/\/manifests\/latest/, (response) => {
        response.setHeader('docker-content-digest', `sha256:${'0'.repeat(64)}`)
        response.setHeader('content-type', t.image.manifest.mediaType)
        response.end(t.image.manifest.text)
      }),
      serves(t.image),
    ],
    /gave a manifest with the digest/,
  ],
  ['no JSON', () => [manifest(MANIFEST, '{"a":')], /the manifest is no JSON/],
  ['JSON that is no object', () => [manifest(MANIFEST, '[]')], /the manifest is no JSON object/],
  ['JSON that is nested a million times', () => [manifest(MANIFEST, '['.repeat(1_000_000))], /the manifest is no JSON/],
  ['a manifest that is an index too', () => withManifest({ manifests: [] }), /not what its media type .* says/],
  [
    'an index that is a manifest',
    () => [manifest(INDEX, JSON.stringify({ config: t.image.config, layers: [] }))],
    /not what its media type/,
  ],
  [
    'a manifest of the first schema',
    () => [manifest('application/vnd.docker.distribution.manifest.v1+json', '{}')],
    /expected the manifest of a container image/,
  ],
  ['a web page', () => [manifest('text/html', '<html>')], /the manifest is no JSON/],
  [
    'an artifact',
    () => withManifest({ config: { ...t.image.config, mediaType: 'application/vnd.example+json' } }),
    /found an artifact/,
  ],
  [
    'a layer of another media type',
    () => withManifest({ layers: [{ ...t.image.layers[0], mediaType: 'application/zip' }] }),
    /none of an image/,
  ],
  [
    'a layer that is elsewhere',
    () =>
      withManifest({
        layers: [
          {
            ...t.image.layers[0],
            mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
            urls: ['http://169.254.169.254/'],
          },
        ],
      }),
    /none of an image/,
  ],
  [
    'a layer without a digest',
    () => withManifest({ layers: [{ ...t.image.layers[0], digest: '../../etc/passwd' }] }),
    /no sha256 digest/,
  ],
  [
    'a layer with a size below nothing',
    () => withManifest({ layers: [{ ...t.image.layers[0], size: -1 }] }),
    /has no size/,
  ],
  [
    'layers without end',
    () => withManifest({ layers: Array.from({ length: 501 }, () => t.image.layers[0]) }),
    /more than 500 layers/,
  ],
  [
    'a layer that is larger than allowed',
    () => withManifest({ layers: [{ ...t.image.layers[0], size: 1e12 }, t.image.layers[1]] }),
    /more than the 4194304 that are allowed/,
  ],
  ['indexes in indexes', () => nestedIndexes(5), /nested too deeply/],
  ['indexes beside indexes', () => manyIndexes(1000), /lead to more than 20 others/],
  [
    'a layer that is longer than it says',
    () => withManifest({ layers: [{ ...t.image.layers[0], size: 10 }, t.image.layers[1]] }),
    /longer than the 10 bytes/,
  ],
  [
    'another layer of the same length',
    () => [
      when(layerOf(t.image), (response) => void response.end(Buffer.alloc(t.image.layers[0]?.size ?? 0))),
      serves(t.image),
    ],
    /has the digest sha256:.*: the registry gave something else/,
  ],
  [
    'a layer that is not there',
    () => [when(layerOf(t.image), (response) => void response.writeHead(404).end()), serves(t.image)],
    /has not the blob/,
  ],
  [
    'a range that was not asked for',
    () => [
      first(1, when(layerOf(t.large), t.cutOff)),
      when(layerOf(t.large), (response) => void response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end('x')),
      serves(t.large),
    ],
    /another range/,
  ],
]

describe('lies are told apart', () => {
  test.each(lies)('%s', async (_name, scripts, message, options) => {
    await expect(t.pull(scripts(), options)).rejects.toMatchObject({
      code: 'bad-image',
      message: expect.stringMatching(message),
    })
    expect(await t.left()).toEqual(['blobs', 'lock'])
  })

  test('a manifest without end', async () => {
    let sent = 0
    const endless = when(/\/manifests\//, (response, { method }) => {
      response.setHeader('content-type', MANIFEST)
      if (method === 'HEAD') {
        response.end()
        return
      }
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, ' '))) sent += 65_536
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    })
    await expect(t.pull([endless])).rejects.toMatchObject({
      code: 'bad-image',
      message: expect.stringContaining('more than the 4194304 bytes'),
    })
    expect(sent).toBeLessThan(64 * 1024 * 1024)
  })

  test.each<[string, () => Promise<BuiltImage>, RegExp]>([
    ['a bomb', async () => withLayer(gzipSync(Buffer.alloc(64 * 1024 * 1024))), /larger than is allowed|digest/],
    [
      'a file that is larger than allowed',
      () => buildImage([[file('a', Buffer.alloc(2 * MAX_BYTES))]]),
      /larger than is allowed/,
    ],
    ['a layer that is no archive', async () => withLayer(gzipSync('hello'.repeat(1000))), /not a tar archive/],
    [
      'a layer that is not compressed as it seems',
      async () => withLayer(Buffer.from([0x1f, 0x8b, 1, 2, 3])),
      /damaged/,
    ],
    ['a name that leads out', () => buildImage([[file('../../escaped', 'x')]]), /leads out of the image/],
    ['an absolute name', () => buildImage([[file('/etc/passwd', 'x')]]), /not a relative path/],
  ])('%s', async (_name, build, message) => {
    const built = await build()
    await expect(t.pull([serves(built)])).rejects.toMatchObject({
      code: 'bad-archive',
      message: expect.stringMatching(message),
    })
    expect(await t.left()).toEqual(['blobs', 'lock'])
  })
})

test('other layers do not get who knows its configuration an image that is here', async () => {
  expect(await t.pull([serves(t.image)])).toEqual(['a', 'b'])
  const before = await t.left()
  const other = await buildImage([[file('c', 'three')], [file('d', 'four')]])
  const forged = document(MANIFEST, { config: t.image.config, layers: other.layers })
  const blobs = new Map([...other.blobs, ...t.image.blobs])
  await expect(t.pull([serves({ ...other, blobs, manifest: forged, index: forged })])).rejects.toMatchObject({
    code: 'bad-archive',
    message: expect.stringContaining('the configuration says'),
  })
  expect(await t.left()).toEqual(before)
  const same = await buildImage([[file('a', 'one')], [file('b', 'two')]], { compression: 'zstd' })
  expect(same.config.digest).toBe(t.image.config.digest)
  expect(await t.pull([serves(same)])).toEqual(['a', 'b'])
})

/** An image with one layer that its configuration knows under another digest. */
async function withLayer(bytes: Buffer): Promise<BuiltImage> {
  const built = await buildImage([[file('a', 'x')]])
  const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: digest(bytes), size: bytes.length }
  const made = document(MANIFEST, { config: built.config, layers: [layer] })
  return {
    ...built,
    blobs: new Map([...built.blobs, [layer.digest, bytes]]),
    layers: [layer],
    manifest: made,
    index: made,
  }
}
