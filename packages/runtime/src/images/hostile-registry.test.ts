/** Registries that stall, break off and lead astray: each is refused with a reason, and leaves nothing. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { isLayer, layerOf, useHostilePulls } from '../testing/hostile-pulls.ts'
import { first, type Script, serves, startScriptedRegistry, when } from '../testing/scripted-registry.ts'

const t = useHostilePulls()

describe('what breaks off goes on', () => {
  test('from where it was', async () => {
    expect(await t.pull([first(2, when(layerOf(t.large), halfOfTheRest)), serves(t.large)])).toEqual(['a'])
    const ranges = t.registry.requests.filter(({ path }) => layerOf(t.large).test(path)).map(({ range }) => range)
    // What was on its way when the connection broke is lost.
    const offsets = ranges?.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')?.[1]))
    expect(offsets).toEqual([0, expect.any(Number), expect.any(Number)])
    expect(offsets?.[1]).toBeGreaterThan(0)
    expect(offsets?.[2]).toBeGreaterThan(offsets?.[1] ?? 0)
  })

  test('from the beginning where the registry knows no ranges', async () => {
    const whole = when(
      layerOf(t.large),
      (response) => void response.end(t.large.blobs.get(t.large.layers[0]?.digest ?? '')),
    )
    expect(await t.pull([first(1, when(layerOf(t.large), t.cutOff)), whole, serves(t.large)])).toEqual(['a'])
  })

  test('after the time that a busy registry asks for', async () => {
    const busy = when(/\/manifests\//, (response) => void response.writeHead(429, { 'retry-after': '1' }).end())
    const began = performance.now()
    expect(await t.pull([first(1, busy), serves(t.image)])).toEqual(['a', 'b'])
    expect(performance.now() - began).toBeGreaterThan(1_000)
  })

  test('not for ever', async () => {
    const broken = when(isLayer, (response) => void response.writeHead(503).end())
    await expect(t.pull([broken, serves(t.image)])).rejects.toMatchObject({ code: 'registry-unavailable' })
    expect(t.registry.requests.filter(({ path }) => path.includes(t.image.config.digest))).toHaveLength(5)
    expect(await t.left()).toEqual(['blobs', 'lock'])
  })

  test('and whoever asks for an hour of patience does not get it', async () => {
    const later = when(/\/manifests\//, (response) => void response.writeHead(503, { 'retry-after': '3600' }).end())
    await expect(t.pull([later])).rejects.toMatchObject({ code: 'registry-unavailable' })
  })
})

function halfOfTheRest(response: ServerResponse, request: IncomingMessage): void {
  const bytes = t.large.blobs.get(t.large.layers[0]?.digest ?? '') ?? Buffer.alloc(0)
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  if (from > 0) response.setHeader('content-range', `bytes ${from}-${bytes.length - 1}/${bytes.length}`)
  response.statusCode = from > 0 ? 206 : 200
  response.setHeader('content-length', bytes.length - from)
  response.write(bytes.subarray(from, from + (bytes.length - from) / 2), () => response.destroy())
}

describe('waiting has an end', () => {
  test('where nothing answers', async () => {
    const silent: Script = () => true
    await expect(t.pull([silent], { reachWithinMs: 500 })).rejects.toMatchObject({ code: 'registry-unreachable' })
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
        when(layerOf(t.large), (response) => {
          response.setHeader('content-length', t.large.layers[0]?.size ?? 0)
          stall(response)
        }),
      )
      const broken = when(layerOf(t.large), (response) => void response.writeHead(500, { 'retry-after': '3600' }).end())
      await expect(t.pull([slow, broken, serves(t.large)])).rejects.toMatchObject({
        code: 'registry-unavailable',
      })
      expect(await t.left()).toEqual(['blobs', 'lock'])
    },
    20_000,
  )

  test('where whoever asked gives up', async () => {
    const stop = new AbortController()
    const stalled = when(layerOf(t.large), (response) => {
      response.setHeader('content-length', t.large.layers[0]?.size ?? 0)
      response.write('x', () => stop.abort(new Error('enough')))
    })
    await expect(t.pull([stalled, serves(t.large)], { signal: stop.signal })).rejects.toThrow('enough')
    expect(await t.left()).toEqual(['blobs', 'lock'])
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
    await expect(t.pull([to(location)])).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  test('to this machine, unless that was named by who administers it', async () => {
    await using registry = await startScriptedRegistry(serves(t.image))
    const library = await t.open()
    const port = registry.host.split(':')[1]
    for (const host of [registry.host, `localhost:${port}`])
      await expect(library.pull(`${host}/app`, {})).rejects.toMatchObject({
        code: 'registry-out-of-reach',
        message: expect.stringContaining('this machine itself'),
      })
    expect(registry.requests).toEqual([])
  })

  test.each(['10.213.0.77', '10.96.0.10:5000'])('to a Pod or Service of the cluster (%s)', async (host) => {
    const library = await t.open()
    await expect(library.pull(`${host}/app`, {})).rejects.toMatchObject({
      code: 'registry-out-of-reach',
      message: expect.stringContaining('network of Pods and Services'),
    })
  })

  test('with credentials that were for another', async () => {
    await using blobs = await startScriptedRegistry(serves(t.image))
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
    expect(await t.pull([challenge, elsewhere, serves(t.image)], { credentials })).toEqual(['a', 'b'])
    expect(blobs.requests.length).toBeGreaterThan(0)
    expect(blobs.requests.filter(({ authorization }) => authorization !== undefined)).toEqual([])
    expect(t.registry.requests.at(-1)?.authorization).toBe(`Basic ${Buffer.from('user:secret').toString('base64')}`)
  })
})
