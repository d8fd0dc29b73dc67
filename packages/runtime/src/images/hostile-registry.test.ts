/** Registries that lie, stall, break off and lead astray: each is refused with a reason, and leaves nothing. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { RegistryConfig } from '../registry/registry-config.ts'
import type { PullOptions } from '../runtime.ts'
import { digest, file } from '../testing/image-archive.ts'
import { type BuiltImage, buildImage, document } from '../testing/remote-image-fixture.ts'
import {
  first,
  manifest,
  type Script,
  type ScriptedRegistry,
  serves,
  startScriptedRegistry,
  when,
} from '../testing/scripted-registry.ts'
import { type ImageLibrary, openImageLibrary } from './image-store.ts'

const LIMITS = { headMs: 1_000, windowMs: 300, windowBytes: 1024 }
const MAX_BYTES = 4 * 1024 * 1024
const INDEX = 'application/vnd.oci.image.index.v1+json'
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

let image: BuiltImage
let large: BuiltImage
beforeAll(async () => {
  image = await buildImage([[file('a', 'one')], [file('b', 'two')]])
  const noise = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7919 * (index >> 3)) & 255))
  large = await buildImage([[file('a', noise)]], { compression: 'none' })
})

let directory: string
let registry: ScriptedRegistry | undefined
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-hostile-'))
})
afterEach(async () => {
  await registry?.[Symbol.asyncDispose]()
  registry = undefined
  await rm(directory, { recursive: true, force: true })
})

async function open(registries?: RegistryConfig): Promise<ImageLibrary> {
  return openImageLibrary(join(directory, 'store'), {
    hostRootfs: async () => '',
    inUse: async () => new Set(),
    maxBytes: MAX_BYTES,
    exchangeLimits: LIMITS,
    clusterRanges: async () => ['10.213.0.0/16', '10.96.0.0/16'],
    registries,
  })
}

async function pull(scripts: Script[], options: PullOptions & { name?: string } = {}): Promise<unknown> {
  registry = await startScriptedRegistry(...scripts)
  const library = await open()
  const { image: pulled } = await library.pull(`${registry.host}/${options.name ?? 'app'}`, {
    trusted: true,
    ...options,
  })
  return (await readdir((await library.rootfs(pulled.name)).rootfs)).sort()
}

const left = async (): Promise<string[]> => (await readdir(join(directory, 'store'), { recursive: true })).sort()

const isLayer = /\/blobs\/sha256:/
const layerOf = (built: BuiltImage): RegExp => new RegExp(built.layers[0]?.digest ?? '')

test('the fixtures are good where nothing is wrong', async () => {
  expect(await pull([serves(image)])).toEqual(['a', 'b'])
})

function withManifest(content: Record<string, unknown>): Script[] {
  const made = document(MANIFEST, { config: image.config, layers: image.layers, ...content })
  return [manifest(made.mediaType, made.text), serves(image)]
}

/** An index of an index of an index …, each with its true digest. */
function nestedIndexes(depth: number): Script[] {
  const documents = new Map<string, string>()
  let inner = { mediaType: image.manifest.mediaType, digest: image.manifest.digest, size: image.manifest.size }
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
    serves(image),
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

const lies: Array<[name: string, scripts: () => Script[], message: RegExp, options?: PullOptions & { name?: string }]> =
  [
    [
      'another manifest than the digest asks for',
      () => [serves(image)],
      /gave a manifest with the digest/,
      { name: `app@sha256:${'0'.repeat(64)}` },
    ],
    [
      'a digest in its header that is not the manifest’s',
      () => [
        when(/\/manifests\/latest/, (response) => {
          response.setHeader('docker-content-digest', `sha256:${'0'.repeat(64)}`)
          response.setHeader('content-type', image.manifest.mediaType)
          response.end(image.manifest.text)
        }),
        serves(image),
      ],
      /gave a manifest with the digest/,
    ],
    ['no JSON', () => [manifest(MANIFEST, '{"a":')], /the manifest is no JSON/],
    ['JSON that is no object', () => [manifest(MANIFEST, '[]')], /the manifest is no JSON object/],
    [
      'JSON that is nested a million times',
      () => [manifest(MANIFEST, '['.repeat(1_000_000))],
      /the manifest is no JSON/,
    ],
    ['a manifest that is an index too', () => withManifest({ manifests: [] }), /not what its media type .* says/],
    [
      'an index that is a manifest',
      () => [manifest(INDEX, JSON.stringify({ config: image.config, layers: [] }))],
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
      () => withManifest({ config: { ...image.config, mediaType: 'application/vnd.example+json' } }),
      /found an artifact/,
    ],
    [
      'a layer of another media type',
      () => withManifest({ layers: [{ ...image.layers[0], mediaType: 'application/zip' }] }),
      /none of an image/,
    ],
    [
      'a layer that is elsewhere',
      () =>
        withManifest({
          layers: [
            {
              ...image.layers[0],
              mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
              urls: ['http://169.254.169.254/'],
            },
          ],
        }),
      /none of an image/,
    ],
    [
      'a layer without a digest',
      () => withManifest({ layers: [{ ...image.layers[0], digest: '../../etc/passwd' }] }),
      /no sha256 digest/,
    ],
    [
      'a layer with a size below nothing',
      () => withManifest({ layers: [{ ...image.layers[0], size: -1 }] }),
      /has no size/,
    ],
    [
      'layers without end',
      () => withManifest({ layers: Array.from({ length: 501 }, () => image.layers[0]) }),
      /more than 500 layers/,
    ],
    [
      'a layer that is larger than allowed',
      () => withManifest({ layers: [{ ...image.layers[0], size: 1e12 }, image.layers[1]] }),
      /more than the 4194304 that are allowed/,
    ],
    ['indexes in indexes', () => nestedIndexes(5), /nested too deeply/],
    ['indexes beside indexes', () => manyIndexes(1000), /lead to more than 20 others/],
    [
      'a layer that is longer than it says',
      () => withManifest({ layers: [{ ...image.layers[0], size: 10 }, image.layers[1]] }),
      /longer than the 10 bytes/,
    ],
    [
      'another layer of the same length',
      () => [
        when(layerOf(image), (response) => void response.end(Buffer.alloc(image.layers[0]?.size ?? 0))),
        serves(image),
      ],
      /has the digest sha256:.*: the registry gave something else/,
    ],
    [
      'a layer that is not there',
      () => [when(layerOf(image), (response) => void response.writeHead(404).end()), serves(image)],
      /has not the blob/,
    ],
    [
      'a range that was not asked for',
      () => [
        first(1, when(layerOf(large), cutOff)),
        when(layerOf(large), (response) => void response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end('x')),
        serves(large),
      ],
      /another range/,
    ],
  ]

/** Half of the large layer. */
function cutOff(response: ServerResponse): void {
  const bytes = large.blobs.get(large.layers[0]?.digest ?? '') ?? Buffer.alloc(0)
  response.setHeader('content-length', bytes.length)
  response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
}

describe('lies are told apart', () => {
  test.each(lies)('%s', async (_name, scripts, message, options) => {
    await expect(pull(scripts(), options)).rejects.toMatchObject({
      code: 'bad-image',
      message: expect.stringMatching(message),
    })
    expect(await left()).toEqual(['blobs', 'lock'])
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
    await expect(pull([endless])).rejects.toMatchObject({
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
    ['a layer that is no archive', async () => withLayer(gzipSync('hello'.repeat(1000))), /expected a tar archive/],
    [
      'a layer that is not compressed as it seems',
      async () => withLayer(Buffer.from([0x1f, 0x8b, 1, 2, 3])),
      /damaged/,
    ],
    ['a name that leads out', () => buildImage([[file('../../escaped', 'x')]]), /leads out of the image/],
    ['an absolute name', () => buildImage([[file('/etc/passwd', 'x')]]), /not a relative path/],
  ])('%s', async (_name, build, message) => {
    const built = await build()
    await expect(pull([serves(built)])).rejects.toMatchObject({
      code: 'bad-archive',
      message: expect.stringMatching(message),
    })
    expect(await left()).toEqual(['blobs', 'lock'])
  })
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

describe('what breaks off goes on', () => {
  test('from where it was', async () => {
    expect(await pull([first(2, when(layerOf(large), halfOfTheRest)), serves(large)])).toEqual(['a'])
    const ranges = registry?.requests.filter(({ path }) => layerOf(large).test(path)).map(({ range }) => range)
    // What was on its way when the connection broke is lost.
    const offsets = ranges?.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')?.[1]))
    expect(offsets).toEqual([0, expect.any(Number), expect.any(Number)])
    expect(offsets?.[1]).toBeGreaterThan(0)
    expect(offsets?.[2]).toBeGreaterThan(offsets?.[1] ?? 0)
  })

  test('from the beginning where the registry knows no ranges', async () => {
    const whole = when(layerOf(large), (response) => void response.end(large.blobs.get(large.layers[0]?.digest ?? '')))
    expect(await pull([first(1, when(layerOf(large), cutOff)), whole, serves(large)])).toEqual(['a'])
  })

  test('after the time that a busy registry asks for', async () => {
    const busy = when(/\/manifests\//, (response) => void response.writeHead(429, { 'retry-after': '1' }).end())
    const began = performance.now()
    expect(await pull([first(1, busy), serves(image)])).toEqual(['a', 'b'])
    expect(performance.now() - began).toBeGreaterThan(1_000)
  })

  test('not for ever', async () => {
    const broken = when(isLayer, (response) => void response.writeHead(503).end())
    await expect(pull([broken, serves(image)])).rejects.toMatchObject({ code: 'registry-unavailable' })
    expect(registry?.requests.filter(({ path }) => path.includes(image.config.digest))).toHaveLength(5)
    expect(await left()).toEqual(['blobs', 'lock'])
  })

  test('and whoever asks for an hour of patience does not get it', async () => {
    const later = when(/\/manifests\//, (response) => void response.writeHead(503, { 'retry-after': '3600' }).end())
    await expect(pull([later])).rejects.toMatchObject({ code: 'registry-unavailable' })
  })
})

function halfOfTheRest(response: ServerResponse, request: IncomingMessage): void {
  const bytes = large.blobs.get(large.layers[0]?.digest ?? '') ?? Buffer.alloc(0)
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  if (from > 0) response.setHeader('content-range', `bytes ${from}-${bytes.length - 1}/${bytes.length}`)
  response.statusCode = from > 0 ? 206 : 200
  response.setHeader('content-length', bytes.length - from)
  response.write(bytes.subarray(from, from + (bytes.length - from) / 2), () => response.destroy())
}

describe('waiting has an end', () => {
  test('where nothing answers', async () => {
    const silent: Script = () => true
    await expect(pull([silent], { reachWithinMs: 500 })).rejects.toMatchObject({ code: 'registry-unreachable' })
  })

  test.each<[string, (response: ServerResponse) => void]>([
    ['where a layer stalls', (response) => void response.write('x')],
    [
      'where a layer drips',
      (response) => {
        const timer = setInterval(() => response.write('x'), 50)
        response.on('close', () => clearInterval(timer))
      },
    ],
  ])(
    '%s',
    async (_name, stall) => {
      // Each time it brings a byte or so, which does not count as getting on.
      const slow = first(
        3,
        when(layerOf(large), (response) => {
          response.setHeader('content-length', large.layers[0]?.size ?? 0)
          stall(response)
        }),
      )
      const broken = when(layerOf(large), (response) => void response.writeHead(500, { 'retry-after': '3600' }).end())
      await expect(pull([slow, broken, serves(large)])).rejects.toMatchObject({
        code: 'registry-unavailable',
      })
      expect(await left()).toEqual(['blobs', 'lock'])
    },
    20_000,
  )

  test('where whoever asked gives up', async () => {
    const stop = new AbortController()
    const stalled = when(layerOf(large), (response) => {
      response.setHeader('content-length', large.layers[0]?.size ?? 0)
      response.write('x', () => stop.abort(new Error('enough')))
    })
    await expect(pull([stalled, serves(large)], { signal: stop.signal })).rejects.toThrow('enough')
    expect(await left()).toEqual(['blobs', 'lock'])
  })
})

describe('nobody is led astray', () => {
  const to = (location: string): Script =>
    when(/\/manifests\//, (response) => void response.writeHead(307, { location }).end())

  test.each([
    ['in a circle', '/v2/app/manifests/latest', 'registry-refused', /redirects more than 5 times/],
    ['to the metadata of a cloud', 'http://169.254.169.254/latest/meta-data', 'registry-out-of-reach', /ever pulled/],
    ['to that in other clothes', 'http://[::ffff:a9fe:a9fe]/', 'registry-out-of-reach', /ever pulled/],
    ['to a name of every address', 'http://0.0.0.0/', 'registry-out-of-reach', /ever pulled/],
    ['to a file', 'file:///etc/passwd', 'registry-refused', /redirects to "file:/],
  ])('%s', async (_name, location, code, message) => {
    await expect(pull([to(location)])).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  test('to this machine, unless that was named by who administers it', async () => {
    registry = await startScriptedRegistry(serves(image))
    const library = await open()
    const port = registry.host.split(':')[1]
    for (const host of [registry.host, `localhost:${port}`])
      await expect(library.pull(`${host}/app`, {})).rejects.toMatchObject({
        code: 'registry-out-of-reach',
        message: expect.stringContaining('this machine itself'),
      })
    expect(registry.requests).toEqual([])
  })

  test.each(['10.213.0.77', '10.96.0.10:5000'])('to a Pod or Service of the cluster (%s)', async (host) => {
    const library = await open()
    await expect(library.pull(`${host}/app`, {})).rejects.toMatchObject({
      code: 'registry-out-of-reach',
      message: expect.stringContaining('network of Pods and Services'),
    })
  })

  test('with credentials that were for another', async () => {
    await using blobs = await startScriptedRegistry(serves(image))
    const challenge: Script = (request, response) => {
      if (request.headers.authorization !== undefined) return false
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
      return true
    }
    const elsewhere = when(
      isLayer,
      (response, { url }) => void response.writeHead(307, { location: `http://${blobs.host}${url}` }).end(),
    )
    const credentials = async () => [{ username: 'user', password: 'secret' }]
    expect(await pull([challenge, elsewhere, serves(image)], { credentials })).toEqual(['a', 'b'])
    expect(blobs.requests.length).toBeGreaterThan(0)
    expect(blobs.requests.filter(({ authorization }) => authorization !== undefined)).toEqual([])
    expect(registry?.requests.at(-1)?.authorization).toBe(`Basic ${Buffer.from('user:secret').toString('base64')}`)
  })
})

describe('tokens', () => {
  let accepted = 'Bearer t1'
  const challenge: Script = (request, response) => {
    if (!request.url?.startsWith('/v2/') || request.headers.authorization === accepted) return false
    const realm = `http://${request.headers.host}/token`
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="a, b",scope="x"` }).end()
    return true
  }
  const tokens = (answer: () => string): Script => when(/^\/token/, (response) => void response.end(answer()))
  beforeEach(() => {
    accepted = 'Bearer t1'
  })

  test('are got with the credentials, for the repository alone', async () => {
    const credentials = async () => [{ username: 'user', password: 'secret' }]
    expect(await pull([challenge, tokens(() => '{"token":"t1"}'), serves(image)], { credentials })).toEqual(['a', 'b'])
    expect(registry?.requests.filter(({ path }) => path.startsWith('/token'))).toEqual([
      {
        method: 'GET',
        path: '/token?service=a%2C+b&scope=repository%3Aapp%3Apull',
        authorization: `Basic ${Buffer.from('user:secret').toString('base64')}`,
        range: undefined,
      },
    ])
  })

  test('are got without any for what is public', async () => {
    expect(await pull([challenge, tokens(() => '{"access_token":"t1"}'), serves(image)])).toEqual(['a', 'b'])
  })

  test('are renewed when they end in the middle', async () => {
    let given = 0
    const renewing = tokens(() => JSON.stringify({ token: `t${++given}` }))
    const flip: Script = (request) => {
      if (given === 1 && isLayer.test(request.url ?? '')) accepted = 'Bearer t2'
      return false
    }
    expect(await pull([flip, challenge, renewing, serves(image)])).toEqual(['a', 'b'])
    expect(given).toBeGreaterThan(1)
  })

  test('are renewed once for all that was sent side by side', async () => {
    let given = 0
    const renewing = tokens(() => JSON.stringify({ token: `t${++given}` }))
    const { promise: both, resolve } = Promise.withResolvers<void>()
    let waiting = image.layers.length
    const together: Script = async (request) => {
      const isOne = image.layers.some((layer) => request.url?.endsWith(layer.digest))
      if (!isOne || request.headers.authorization !== 'Bearer t1') return false
      accepted = 'Bearer t2'
      if (--waiting === 0) resolve()
      await both
      return false
    }
    expect(await pull([together, challenge, renewing, serves(image)])).toEqual(['a', 'b'])
    expect(given).toBe(2)
  })

  test.each([
    ['is no JSON', 'hello', 'bad-image'],
    ['is no text', '{"token":1}', 'bad-image'],
    ['would make another header', '{"token":"a\\r\\nb: c"}', 'bad-image'],
    ['is not what the registry takes', '{"token":"other"}', 'registry-denied'],
  ])('one that %s', async (_name, answer, code) => {
    await expect(pull([challenge, tokens(() => answer), serves(image)])).rejects.toMatchObject({ code })
  })

  test('are not fetched from where no pull may go', async () => {
    const astray: Script = (_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://169.254.169.254/token"' }).end()
      return true
    }
    await expect(pull([astray])).rejects.toMatchObject({ code: 'registry-out-of-reach' })
  })
})
