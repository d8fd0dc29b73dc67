import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createPersist } from './persist.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const store = { failure: undefined }

test('what fails is done later and later, and told once until it has succeeded', async () => {
  const reported: unknown[] = []
  using persist = createPersist({ store, report: (error) => reported.push(error) })
  const attempts: number[] = []
  let fails = true
  const work = async (): Promise<void> => {
    attempts.push(Date.now() - begun)
    if (fails) throw new Error('full')
  }
  const begun = Date.now()
  persist.do('work', work)
  await vi.advanceTimersByTimeAsync(200_000)
  expect(attempts).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183].map((seconds) => seconds * 1000))
  expect(reported).toEqual([new Error('full')])
  fails = false
  await vi.advanceTimersByTimeAsync(200_000)
  expect(attempts).toHaveLength(10)
  fails = true
  persist.do('work', work)
  await vi.advanceTimersByTimeAsync(0)
  expect(reported).toHaveLength(2)
})

test('what is asked for meanwhile is done at once, in the place of what waits', async () => {
  using persist = createPersist({ store, report: () => undefined })
  const done: string[] = []
  const failing = (): Promise<void> => Promise.reject(new Error('full'))
  const noting = (what: string) => async () => void done.push(what)
  persist.do('a', failing)
  persist.do('b', failing)
  await vi.advanceTimersByTimeAsync(10)
  persist.do('a', noting('a'))
  expect(done).toEqual(['a'])
  await vi.advanceTimersByTimeAsync(0)
  expect(vi.getTimerCount()).toBe(1)
})

test.each([
  ['it has been disposed of', { failure: undefined }],
  ['nothing can be written any more', { failure: 'the disk failed' }],
])('nothing is done again, or told, where %s', async (_why, { failure }) => {
  const reported: unknown[] = []
  const persist = createPersist({ store: { failure }, report: (error) => reported.push(error) })
  persist.do('work', () => Promise.reject(new Error('refused')))
  if (failure === undefined) persist[Symbol.dispose]()
  await vi.advanceTimersByTimeAsync(0)
  expect([vi.getTimerCount(), reported]).toEqual([0, []])
})
