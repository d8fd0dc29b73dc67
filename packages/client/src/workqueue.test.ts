import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createWorkqueue, type Workqueue, type WorkqueueOptions, type WorkResult } from './workqueue.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** A queue whose passes end when the test says so. */
function controlled(options: Partial<WorkqueueOptions<string>> = {}) {
  const started: string[] = []
  const open = new Map<string, PromiseWithResolvers<WorkResult | void>>()
  const queue = createWorkqueue({
    process(key) {
      started.push(key)
      if (open.has(key)) throw new Error(`${key} is worked on twice at a time`)
      const pass = Promise.withResolvers<WorkResult | void>()
      open.set(key, pass)
      return pass.promise
    },
    onError: () => {},
    ...options,
  })
  function end(key: string, result?: WorkResult | Error): Promise<void> {
    const pass = open.get(key)
    open.delete(key)
    if (result instanceof Error) pass?.reject(result)
    else pass?.resolve(result)
    return settle()
  }
  return { queue, started, end, open }
}

/** Lets all promises run that can. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms)
  await settle()
}

describe('a key', () => {
  test('that is added often is worked on once', async () => {
    const { queue, started, end } = controlled()
    queue.add('a')
    queue.add('a')
    await settle()
    expect(started).toEqual(['a'])
    await end('a')
    expect({ started, depth: queue.depth, running: queue.running }).toEqual({ started: ['a'], depth: 0, running: 0 })
  })

  test('that is added while it is worked on comes once more, afterwards', async () => {
    const { queue, started, end } = controlled({ concurrency: 5 })
    queue.add('a')
    await settle()
    queue.add('a')
    queue.add('a')
    await settle()
    expect(started).toEqual(['a'])
    await end('a')
    expect(started).toEqual(['a', 'a'])
    await end('a')
    expect(started).toEqual(['a', 'a'])
  })

  test('is never worked on within add, so that the most urgent of what is added together comes first', async () => {
    const { queue, started } = controlled()
    queue.add('a')
    queue.add('b', { priority: 1 })
    expect(started).toEqual([])
    await settle()
    expect(started).toEqual(['b'])
  })

  test('that is wanted later comes at the earliest of the times', async () => {
    const { queue, started, end } = controlled()
    queue.addAfter('a', 500)
    queue.addAfter('a', 200)
    queue.addAfter('a', 900)
    queue.addAfter('b', 300)
    await pass(199)
    expect(started).toEqual([])
    await pass(1)
    expect(started).toEqual(['a'])
    await end('a')
    await pass(1000)
    expect(started).toEqual(['a', 'b'])
  })

  test('that is added before its time comes twice', async () => {
    const { queue, started, end } = controlled()
    queue.addAfter('a', 500)
    queue.add('a')
    await settle()
    await end('a')
    await pass(500)
    expect(started).toEqual(['a', 'a'])
  })

  test('far in the future waits as long as it has to', async () => {
    const { queue, started } = controlled()
    queue.addAfter('a', 2 ** 31 + 1000)
    await pass(2 ** 31)
    expect(started).toEqual([])
    await pass(1000)
    expect(started).toEqual(['a'])
  })

  test.each<[name: string, end: Error | WorkResult]>([
    ['each failure', new Error('no')],
    ['each pass that says so', { retry: true }],
  ])('backs off further with %s, from the start after a success', async (_name, again) => {
    const { queue, started, end } = controlled()
    queue.add('a')
    await settle()
    for (const backOff of [5, 10, 20, 40]) {
      await end('a', again)
      const before = started.length
      await pass(backOff - 1)
      expect(started.length).toBe(before)
      await pass(1)
      expect(started.length).toBe(before + 1)
    }
    await end('a')
    queue.add('a')
    await settle()
    await end('a', again)
    const before = started.length
    await pass(5)
    expect(started.length).toBe(before + 1)
  })

  test('never backs off for longer than 1000 s', async () => {
    const { queue, started, end } = controlled()
    queue.add('a')
    await settle()
    // Doubled so often it would be longer by far.
    for (let failed = 1; failed <= 30; failed++) {
      await end('a', new Error('no'))
      await pass(1_000_000)
      expect(started.length).toBe(failed + 1)
    }
    await end('a', new Error('no'))
    await pass(999_999)
    expect(started.length).toBe(31)
  })

  test('comes again when its pass asked for that', async () => {
    const { started, queue, end } = controlled()
    queue.add('a')
    await settle()
    await end('a', { requeueAfter: 70 })
    await pass(69)
    expect(started).toEqual(['a'])
    await pass(1)
    expect(started).toEqual(['a', 'a'])
  })
})

describe('priorities', () => {
  test('decide who is next, arrival decides among equals, and a key moves up but not down', async () => {
    const { queue, started, end } = controlled()
    queue.add('first')
    await settle()
    queue.add('refill-1', { priority: -1 })
    queue.add('refill-2', { priority: -1 })
    queue.add('claim-1', { priority: 1 })
    queue.add('refill-2', { priority: 1 })
    queue.add('claim-1', { priority: -1 })
    queue.add('normal')
    for (const key of ['first', 'claim-1', 'refill-2', 'normal', 'refill-1']) await end(key)
    expect(started).toEqual(['first', 'claim-1', 'refill-2', 'normal', 'refill-1'])
  })

  test('of a key that is worked on and wanted again are kept', async () => {
    const { queue, started, end } = controlled()
    queue.add('a', { priority: -1 })
    await settle()
    queue.add('b')
    queue.add('a', { priority: 1 })
    queue.add('a', { priority: -1 })
    await end('a')
    expect(started).toEqual(['a', 'a'])
  })
})

test('namespaces take turns: who has very many keys in one waits behind himself', async () => {
  const { queue, started, end } = controlled()
  for (const key of ['a/1', 'a/2', 'a/3', 'b/1', 'c/1', 'b/2', 'node']) queue.add(key)
  await settle()
  while (queue.running > 0) await end(started.at(-1) ?? '')
  expect(started).toEqual(['a/1', 'b/1', 'c/1', 'node', 'a/2', 'b/2', 'a/3'])
})

test('no more passes run at a time than are allowed', async () => {
  const { queue, started, end } = controlled({ concurrency: 3 })
  for (const key of ['a', 'b', 'c', 'd', 'e']) queue.add(key)
  await settle()
  expect({ started, depth: queue.depth, running: queue.running }).toEqual({
    started: ['a', 'b', 'c'],
    depth: 2,
    running: 3,
  })
  await end('b')
  expect(started).toEqual(['a', 'b', 'c', 'd'])
})

test('metrics see waiting, working and retrying', async () => {
  const seen: string[] = []
  const { queue, end } = controlled({
    metrics: {
      depth: (waiting) => seen.push(`depth ${waiting}`),
      waited: (ms) => seen.push(`waited ${ms}`),
      worked: (ms, failed) => seen.push(`worked ${ms} ${failed}`),
      retried: () => seen.push('retried'),
    },
  })
  queue.add('a')
  queue.add('b')
  await settle()
  await pass(30)
  await end('a', new Error('no'))
  expect(seen).toEqual([
    'depth 1',
    'depth 2',
    'depth 1',
    'waited 0',
    'retried',
    'worked 30 true',
    'depth 0',
    'waited 30',
  ])
})

test('observers that throw do not stop the queue', async () => {
  const { queue, started, end } = controlled({
    onError() {
      throw new Error('observer')
    },
  })
  const warned = new Promise((resolve) => process.once('warning', resolve))
  queue.add('a')
  await settle()
  await end('a', new Error('no'))
  expect(await warned).toMatchObject({ message: 'observer', name: 'WorkqueueWarning' })
  await pass(5)
  expect(started).toEqual(['a', 'a'])
})

test('disposal waits for what runs, tells it, and drops the rest', async () => {
  let told: AbortSignal | undefined
  const work = Promise.withResolvers<void>()
  const started: string[] = []
  const queue: Workqueue = createWorkqueue({
    process(key, signal) {
      told = signal
      started.push(key)
      return work.promise
    },
  })
  queue.add('a')
  queue.add('b')
  queue.addAfter('c', 10)
  await settle()
  let disposed = false
  const disposing = Promise.resolve(queue[Symbol.asyncDispose]()).finally(() => {
    disposed = true
  })
  await settle()
  expect([disposed, told?.aborted]).toEqual([false, true])
  queue.add('d')
  work.resolve()
  await disposing
  await pass(100)
  expect({ started, depth: queue.depth, running: queue.running, timers: vi.getTimerCount() }).toEqual({
    started: ['a'],
    depth: 0,
    running: 0,
    timers: 0,
  })
})

test('idle resolves when nothing waits and nothing runs', async () => {
  const { queue, end } = controlled()
  await queue.idle()
  queue.add('a')
  queue.add('b')
  let idle = false
  const waiting = queue.idle().finally(() => {
    idle = true
  })
  await settle()
  await end('a')
  expect(idle).toBe(false)
  await end('b')
  await waiting
})

test.each([1, 8])(
  'passes that wait for nothing leave turns of the event loop to others: %d at a time',
  async (concurrency) => {
    const done: string[] = []
    const queue = createWorkqueue({
      concurrency,
      async process(key) {
        vi.advanceTimersByTime(6)
        done.push(key)
      },
    })
    for (let index = 0; index < 20; index++) queue.add(String(index))
    await new Promise((resolve) => setImmediate(resolve))
    expect(done).toEqual(['0', '1', '2', '3'])
    await queue.idle()
    expect(done).toHaveLength(20)
  },
)

test('whatever happens, no key is lost and none is worked on twice at a time', async () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), key, priority: fc.integer({ min: -1, max: 1 }) }),
    fc.record({ do: fc.constant('after' as const), key, ms: fc.nat(50) }),
    fc.record({
      do: fc.constant('end' as const),
      key,
      result: fc.constantFrom('good' as const, 'bad' as const, 'again' as const),
    }),
    fc.record({ do: fc.constant('time' as const), ms: fc.nat(30) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 60 }), async (concurrency, steps) => {
      const { queue, open, started, end } = controlled({ concurrency })
      /** Of each key, how many passes had started when it was last asked for: one more has to start after that. */
      const owed = new Map<string, number>()
      const passes = (each: string) => started.filter((one) => one === each).length
      for (const each of steps) {
        if (each.do === 'time') await pass(each.ms)
        else if (each.do === 'end') {
          if (open.has(each.key) && each.result !== 'good') owed.set(each.key, passes(each.key))
          await end(
            each.key,
            each.result === 'good' ? undefined : each.result === 'bad' ? new Error('no') : { requeueAfter: 7 },
          )
        } else {
          owed.set(each.key, passes(each.key))
          if (each.do === 'add') queue.add(each.key, { priority: each.priority })
          else queue.addAfter(each.key, each.ms)
          await settle()
        }
        expect(open.size).toBeLessThanOrEqual(concurrency)
        expect(queue.running).toBe(open.size)
        if (queue.depth > 0) expect(queue.running).toBe(concurrency)
      }
      await pass(1_000_000)
      while (open.size > 0) for (const each of Array.from(open.keys())) await end(each)
      for (const [each, before] of owed) expect(passes(each), each).toBeGreaterThan(before)
      expect({ depth: queue.depth, running: queue.running }).toEqual({ depth: 0, running: 0 })
      await queue[Symbol.asyncDispose]()
    }),
    { numRuns: 150 },
  )
})
