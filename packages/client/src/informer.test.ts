import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createClient } from './client.ts'
import { createHttpTransport } from './http-transport.ts'
import { createInformer, type Informer, type InformerOptions } from './informer.ts'
import { createInformers } from './informers.ts'
import { defineResource } from './resource.ts'
import { createModelServer, type ModelOptions, type ModelServer } from './testing/model-server.ts'
import { type ScriptedServer, startScriptedServer } from './testing/scripted-server.ts'
import { createTestAuthority, type TestAuthority } from './testing/test-certificates.ts'
import type { Transport } from './transport.ts'

const widgets = defineResource<KubeObject>({
  group: 'test.example',
  version: 'v1',
  plural: 'widgets',
  kind: 'Widget',
  namespaced: false,
})
const timing = { minBackoff: 1, maxBackoff: 4, stableAfter: 1000 }

let authority: TestAuthority
let server: ScriptedServer
let transport: Transport
let models = 0

beforeAll(async () => {
  authority = await createTestAuthority()
  const certificate = await authority.issue('server', ['IP:127.0.0.1'])
  server = await startScriptedServer({ authority, certificate, script: () => {} })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await authority[Symbol.asyncDispose]()
})

function serve(options: ModelOptions = { streamedLists: true }): ModelServer {
  const model = createModelServer(options)
  const path = `/model-${models++}/`
  // What is still on its way from an earlier test must not be counted.
  server.script = (request, response) => {
    if (request.url.startsWith(path)) model.script(request, response)
    else request.socket.destroy()
  }
  transport = createHttpTransport({ ...server.connection, server: server.url + path })
  return model
}

afterEach(async () => {
  await transport[Symbol.asyncDispose]()
})

function follow(options: InformerOptions<KubeObject> = {}): Informer<KubeObject> {
  const informer = createInformer(createClient(transport), widgets, { timing, ...options })
  onTestFinished(() => informer[Symbol.asyncDispose]())
  return informer
}

/** Everything that handlers are told, as a log and as the state that it adds up to. */
function record(informer: Informer<KubeObject>) {
  const said: string[] = []
  const state: Record<string, KubeObject> = {}
  const broken: string[] = []
  const name = (object: KubeObject) => object.metadata.name ?? ''
  const version = (object: KubeObject) => Number(object.metadata.resourceVersion)
  informer.handle({
    added(object) {
      said.push(`+${name(object)}`)
      if (state[name(object)]) broken.push(`${name(object)} was added twice`)
      state[name(object)] = object
    },
    updated(old, object) {
      said.push(`~${name(object)}`)
      if (state[name(object)] !== old) broken.push(`${name(object)} was updated from another state`)
      if (old.metadata.uid !== object.metadata.uid) broken.push(`${name(object)} changed its UID`)
      if (version(object) <= version(old)) broken.push(`${name(object)} went back in time`)
      state[name(object)] = object
    },
    deleted(object) {
      said.push(`-${name(object)}`)
      if (!state[name(object)]) broken.push(`${name(object)} was deleted twice`)
      delete state[name(object)]
    },
  })
  return { said, state, broken }
}

function versions(objects: Iterable<KubeObject>): Record<string, string> {
  const pairs = [...objects].map((each) => [
    each.metadata.name,
    `${each.metadata.uid} ${each.metadata.resourceVersion}`,
  ])
  return Object.fromEntries(pairs.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)))
}

async function converged(informer: Informer<KubeObject>, model: ModelServer): Promise<void> {
  await expect
    .poll(() => versions(informer.list()), { interval: 1, timeout: 10_000 })
    .toEqual(versions(Object.values(model.state())))
}

describe.each([true, false])('with streamed lists: %s', (streamedLists) => {
  test('follows the server, and tells handlers in order', async () => {
    const model = serve({ streamedLists })
    model.create('a')
    model.create('b')
    const informer = follow()
    expect(informer.health).toMatchObject({ synced: false, connected: false })
    await informer.synced()
    const { said, broken } = record(informer)
    await expect.poll(() => model.watches()).toBe(1)
    expect(informer.health).toMatchObject({ synced: true, connected: true, lastError: undefined })
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
    await expect.poll(() => model.watches()).toBe(1)
    model.asked()
    for (const how of ['end', 'reset', 'half'] as const) {
      model.cut(how)
      model.update('a')
      await converged(informer, model)
      await expect.poll(() => model.watches()).toBe(1)
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
  await expect.poll(() => model.watches()).toBe(1)
  expect(model.asked()).toEqual(['stream', 'list', 'list', 'list', 'watch'])

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
  await expect.poll(() => model.watches()).toBe(2)
  expect(model.asked()).toEqual(['stream', 'list', 'list', 'list', 'watch'])
})

test('never gives up, and says how it is', async () => {
  const model = serve()
  model.create('a')
  model.failNext([500, 0, 403, 429, 404, 401, 503])
  const informer = follow()
  await expect.poll(() => informer.health.lastError?.message).toContain('Unknown')
  expect(informer.health).toMatchObject({ synced: false, connected: false })
  await informer.synced()
  expect(informer.health).toMatchObject({ synced: true, connected: true, lastError: undefined })
})

test('a server that cannot be reached is waited for', async () => {
  const nobody = createHttpTransport({ server: 'https://127.0.0.1:1', namespace: 'default' })
  onTestFinished(() => nobody[Symbol.asyncDispose]())
  const informer = createInformer(createClient(nobody), widgets, { timing })
  await expect.poll(() => informer.health.lastError).toMatchObject({ code: 'unreachable' })
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
    await expect.poll(() => model.watches()).toBe(1)
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
    await expect.poll(() => model.watches()).toBe(1)
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
  const informers = createInformers(createClient(transport))
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

test('ends as the server is, whatever happened on the way', async () => {
  const name = fc.constantFrom('a', 'b', 'c')
  const step = fc.oneof(
    fc.record({ do: fc.constant('create' as const), name, observe: fc.boolean() }),
    fc.record({ do: fc.constant('update' as const), name, observe: fc.boolean() }),
    fc.record({ do: fc.constant('delete' as const), name, observe: fc.boolean() }),
    fc.record({
      do: fc.constant('cut' as const),
      how: fc.constantFrom('end' as const, 'reset' as const, 'half' as const),
    }),
    fc.record({ do: fc.constant('compact' as const) }),
    fc.record({ do: fc.constant('bookmark' as const), behind: fc.nat(4) }),
    fc.record({
      do: fc.constant('fail' as const),
      codes: fc.array(fc.constantFrom(0, 401, 403, 404, 410, 429, 500), { maxLength: 4 }),
    }),
    fc.record({
      do: fc.constant('say' as const),
      text: fc.constantFrom('}{\n', '{"type":"ERROR","object":{"kind":"Status","code":410}}\n'),
    }),
    fc.record({ do: fc.constant('recall' as const), index: fc.nat(30) }),
    fc.record({ do: fc.constant('turn' as const), turns: fc.integer({ min: 1, max: 6 }) }),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.boolean(),
      fc.array(step, { maxLength: 40 }),
      async (streamedLists, refusesExpired, steps) => {
        const model = serve({ streamedLists, refusesExpired })
        const informer = createInformer(createClient(transport), widgets, { timing })
        const { state, broken } = record(informer)
        const answers: { object: KubeObject; deletion: boolean }[] = []
        const observe = ({ object, deletion }: { object: KubeObject; deletion: boolean }) =>
          deletion ? informer.observeDeletion(structuredClone(object)) : informer.observe(structuredClone(object))
        try {
          for (const each of steps) {
            if (each.do === 'create' || each.do === 'update' || each.do === 'delete') {
              const object = model[each.do](each.name)
              if (!object) continue
              const answer = { object, deletion: each.do === 'delete' }
              answers.push(answer)
              if (each.observe) observe(answer)
            } else if (each.do === 'cut') model.cut(each.how)
            else if (each.do === 'compact') model.compact()
            else if (each.do === 'bookmark') model.bookmark(each.behind)
            else if (each.do === 'fail') model.failNext(each.codes)
            else if (each.do === 'say') model.say(each.text)
            else if (each.do === 'recall') {
              // An answer that took its time: by now it may be about something long gone.
              const answer = answers[each.index % Math.max(1, answers.length)]
              if (answer) observe(answer)
            } else for (let turn = 0; turn < each.turns; turn++) await new Promise((resolve) => setImmediate(resolve))
          }
          await informer.synced()
          await converged(informer, model)
          // Every answer once more, far too late.
          for (const answer of answers) if (!answer.deletion) observe(answer)
          expect(versions(informer.list())).toEqual(versions(Object.values(model.state())))
          expect(versions(Object.values(state))).toEqual(versions(informer.list()))
          expect(broken).toEqual([])
        } finally {
          model.failNext([])
          await informer[Symbol.asyncDispose]()
          await transport[Symbol.asyncDispose]()
        }
      },
    ),
    { numRuns: 60 },
  )
})
