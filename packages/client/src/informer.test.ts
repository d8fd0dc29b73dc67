import { describe, expect, onTestFinished, test } from 'vitest'
import { createClient } from './client.ts'
import { createHttpTransport } from './http-transport.ts'
import { createInformer } from './informer.ts'
import { createInformers } from './informers.ts'
import { converged, record, timing, useModelServers, widgets } from './testing/model-fixture.ts'

const fixture = useModelServers()
const { serve, follow } = fixture
const patient = { timeout: 10_000, interval: 5 }

describe.each([true, false])('with streamed lists: %s', (streamedLists) => {
  test('follows the server, and tells handlers in order', async () => {
    const model = serve({ streamedLists })
    model.create('a')
    model.create('b')
    const informer = follow()
    expect(informer.health).toMatchObject({ synced: false, connected: false })
    await informer.synced()
    const { said, broken } = record(informer)
    // The server knows of a watch before the informer has heard that it stands.
    await expect.poll(() => informer.health.connected, patient).toBe(true)
    expect(informer.health).toMatchObject({ synced: true, lastError: undefined })
    expect(model.watches()).toBe(1)
    model.update('a')
    model.create('c')
    model.delete('b')
    await converged(informer, model)
    expect({ said, broken }).toEqual({ said: ['+a', '+b', '~a', '+c', '-b'], broken: [] })
    expect(model.asked()).toEqual(streamedLists ? ['stream'] : ['stream', 'list', 'watch'])
    expect(informer.get('a')).toEqual({
      apiVersion: 'test.example/v1',
      kind: 'Widget',
      metadata: { name: 'a', uid: 'uid-1', resourceVersion: '103' },
      payload: 'größe 103',
    })
    expect(Object.isFrozen(informer.get('a')?.metadata)).toBe(true)
  })

  test('goes on from where it was after a break, and tells nothing twice', async () => {
    const model = serve({ streamedLists })
    model.create('a')
    const informer = follow()
    await informer.synced()
    const { said } = record(informer)
    await expect.poll(() => model.watches(), patient).toBe(1)
    model.asked()
    for (const how of ['end', 'reset', 'half'] as const) {
      model.cut(how)
      model.update('a')
      await converged(informer, model)
      await expect.poll(() => model.watches(), patient).toBe(1)
    }
    expect(said).toEqual(['+a', '~a', '~a', '~a'])
    expect(model.asked()).toEqual(['watch', 'watch', 'watch'])
    expect(informer.health).toMatchObject({ connected: true, lastError: undefined })
  })

  test.each([true, false])('after 410 it tells the difference only (refused at once: %s)', async (refusesExpired) => {
    const model = serve({ streamedLists, refusesExpired })
    for (const name of ['same', 'changed', 'gone', 'replaced']) model.create(name)
    const informer = follow()
    await informer.synced()
    const { said, broken } = record(informer)
    said.length = 0
    model.cut('end')
    model.update('changed')
    model.delete('gone')
    model.delete('replaced')
    model.create('replaced')
    model.create('new')
    model.compact()
    await converged(informer, model)
    expect(said.toSorted()).toEqual(['+new', '+replaced', '-gone', '-replaced', '~changed'])
    expect(broken).toEqual([])
  })
})

test('lists in pages, and all at once where the pages expire', async () => {
  const model = serve({ streamedLists: false })
  for (let index = 0; index < 1200; index++) model.create(`w${index}`)
  const inPages = follow()
  await inPages.synced()
  expect(inPages.size).toBe(1200)
  await expect.poll(() => model.watches(), patient).toBe(1)
  expect(model.asked()).toEqual(['stream', 'list', 'list', 'list', 'watch'])

  const { server } = fixture
  const { script } = server
  server.script = (request, response) => {
    if (request.url.includes('continue=')) {
      model.create('late')
      model.compact()
    }
    return script(request, response)
  }
  const atOnce = follow()
  await atOnce.synced()
  expect(atOnce.size).toBe(1201)
  await expect.poll(() => model.watches(), patient).toBe(2)
  expect(model.asked()).toEqual(['stream', 'list', 'list', 'list', 'watch'])
})

test('never gives up, and says how it is', async () => {
  const model = serve()
  model.create('a')
  const codes = [500, 0, 403, 429, 404, 401, 503]
  model.failNext(Array.from({ length: 10_000 }, (_, index) => codes[index % codes.length] ?? 0))
  const informer = follow()
  await expect.poll(() => informer.health.lastError?.message, patient).toBeDefined()
  let asked = 0
  await expect.poll(() => (asked += model.asked().length), patient).toBeGreaterThan(2 * codes.length)
  expect(informer.health).toMatchObject({ synced: false, connected: false })
  model.failNext([])
  await informer.synced()
  expect(informer.health).toMatchObject({ synced: true, connected: true, lastError: undefined })
})

test('a watch that breaks again and again after an event each is not waited for longer and longer', async () => {
  const model = serve()
  // Doubled by each break, the wait after the last one would be minutes.
  const informer = follow({ timing: { minBackoff: 2, maxBackoff: 600_000, stableAfter: 600_000 } })
  await informer.synced()
  for (let breaks = 0; breaks < 20; breaks++) {
    await expect.poll(() => model.watches(), patient).toBe(1)
    model.cut('reset')
    model.create(`after-${breaks}`)
    await converged(informer, model)
  }
  expect(informer.size).toBe(20)
})

test('a list whose stream breaks on its way comes in pages', async () => {
  const model = serve()
  for (let count = 0; count < 5; count++) model.create(`a${count}`)
  model.breakStreamedLists(3)
  const informer = follow()
  await informer.synced()
  expect(informer.size).toBe(5)
  await expect.poll(() => model.watches(), patient).toBe(1)
  expect(model.asked()).toEqual(['stream', 'stream', 'list', 'watch'])
})

test('a server that cannot be reached is waited for', async () => {
  const nobody = createHttpTransport({ server: 'https://127.0.0.1:1', namespace: 'default' })
  onTestFinished(() => nobody[Symbol.asyncDispose]())
  const informer = createInformer(createClient(nobody), widgets, { timing })
  await expect.poll(() => informer.health.lastError, patient).toMatchObject({ code: 'unreachable' })
  const waiting = informer.synced()
  await expect(informer.synced(AbortSignal.abort(new Error('no time')))).rejects.toThrow('no time')
  await informer[Symbol.asyncDispose]()
  await expect(waiting).rejects.toThrow('the informer was stopped')
})

test('bookmarks move the point from which a watch goes on, and late ones do not move it back', async () => {
  const model = serve()
  const informer = follow()
  await informer.synced()
  for (let count = 0; count < 5; count++) model.create(`a${count}`)
  await converged(informer, model)
  model.bookmark(4)
  model.compact()
  model.asked()
  model.cut('end')
  model.create('b')
  await converged(informer, model)
  // Without the rule the watch would begin before what was compacted, and everything would be listed again.
  expect(model.asked()).toEqual(['watch'])
})

test('garbage and errors in a watch lead to a new one', async () => {
  const model = serve()
  const informer = follow()
  await informer.synced()
  for (const text of [
    '}{\n',
    '{"type":"WHAT","object":{}}\n',
    '{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}\n',
  ]) {
    await expect.poll(() => model.watches(), patient).toBe(1)
    model.say(text)
    model.create(`after-${model.version()}`)
    await converged(informer, model)
  }
  expect(informer.size).toBe(3)
})

test('handlers that throw disturb nobody', async () => {
  const model = serve()
  const errors: unknown[] = []
  const informer = follow({ onHandlerError: (error) => errors.push(error) })
  informer.handle({
    added() {
      throw new Error('oops')
    },
  })
  const { said } = record(informer)
  model.create('a')
  await converged(informer, model)
  expect(said).toEqual(['+a'])
  expect(errors).toEqual([new Error('oops')])
})

test('indexes follow the objects, transforms come first', async () => {
  const model = serve()
  const informer = follow({
    transform: (object) => ({ ...object, payload: undefined, length: object.metadata.name?.length }),
    indexers: { length: (object) => [String(object['length'])] },
  })
  model.create('a')
  model.create('bb')
  model.create('cc')
  await converged(informer, model)
  informer.addIndex('initial', (object) => [object.metadata.name?.[0] ?? ''])
  model.delete('bb')
  model.create('aa')
  await converged(informer, model)
  const names = (index: string, value: string) => informer.byIndex(index, value).map((each) => each.metadata.name)
  expect([names('length', '2'), names('length', '1'), names('initial', 'a'), names('initial', 'b')]).toEqual([
    ['cc', 'aa'],
    ['a'],
    ['a', 'aa'],
    [],
  ])
})

describe('own writes', () => {
  test('are there at once, and neither they nor their echo go back', async () => {
    const model = serve()
    model.create('a')
    const informer = follow()
    await informer.synced()
    const { said, broken } = record(informer)
    const old = informer.get('a') ?? expect.fail()
    const first = model.update('a') ?? expect.fail()
    const second = model.update('a') ?? expect.fail()
    informer.observe(second)
    expect(informer.get('a')?.metadata.resourceVersion).toBe(second.metadata.resourceVersion)
    informer.observe(first)
    informer.observe(old)
    expect(informer.get('a')?.metadata.resourceVersion).toBe(second.metadata.resourceVersion)
    const created = model.create('b') ?? expect.fail()
    informer.observe(created)
    expect(informer.get('b')?.metadata.uid).toBe(created.metadata.uid)
    const gone = model.delete('b') ?? expect.fail()
    informer.observeDeletion(gone)
    expect(informer.get('b')).toBeUndefined()
    model.create('c')
    await converged(informer, model)
    informer.observe(created)
    expect(informer.get('b')).toBeUndefined()
    expect({ said, broken }).toEqual({ said: ['+a', '~a', '+b', '-b', '+c'], broken: [] })
  })

  test('survive a list that was taken before them', async () => {
    const model = serve({ streamedLists: false })
    model.create('a')
    const informer = follow()
    await informer.synced()
    const { said, broken } = record(informer)
    await expect.poll(() => model.watches(), patient).toBe(1)
    const { server } = fixture
    const { script } = server
    const held = Promise.withResolvers<void>()
    // The list is answered with what was true before the write, and later than the write.
    let stale: (() => void) | undefined
    server.script = (request, response) => {
      if (request.url.includes('watch=') || stale) return script(request, response)
      const { end } = response
      response.end = ((...args: Parameters<typeof end>) => {
        stale = () => end.apply(response, args)
        held.resolve()
        return response
      }) as typeof response.end
      return script(request, response)
    }
    model.cut('reset')
    model.update('a')
    model.compact()
    await held.promise
    const mine = model.update('a') ?? expect.fail()
    const created = model.create('b') ?? expect.fail()
    informer.observe(mine)
    informer.observe(created)
    stale?.()
    model.create('c')
    await converged(informer, model)
    expect({ said, broken }).toEqual({ said: ['+a', '~a', '+b', '+c'], broken: [] })
  })
})

test('informers of the same resource and scope are one', async () => {
  const model = serve()
  model.create('a')
  const informers = createInformers(createClient(fixture.transport))
  onTestFinished(() => informers[Symbol.asyncDispose]())
  const first = informers.of(widgets)
  const second = informers.of(widgets, { indexers: { all: () => ['x'] } })
  const other = informers.of(widgets, { labelSelector: 'a=b' })
  expect(informers.unhealthy()).toHaveLength(2)
  await informers.synced()
  expect(second).toBe(first)
  expect(other).not.toBe(first)
  expect(first.byIndex('all', 'x')).toHaveLength(1)
  expect(informers.unhealthy()).toEqual([])
  expect(model.asked()).toEqual(['stream', 'stream'])
})
