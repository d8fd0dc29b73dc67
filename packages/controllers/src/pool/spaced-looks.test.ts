import { expect, test, vi } from 'vitest'
import { spaceLooks } from './spaced-looks.ts'

const PAUSE = 40

function follow() {
  const looks: string[] = []
  const spaced = spaceLooks({ look: (key) => looks.push(key), pauseOf: (key) => (key === 'large' ? PAUSE : 0) })
  return { looks, add: spaced.add, passed: spaced.passed, [Symbol.dispose]: () => spaced[Symbol.dispose]() }
}

test('what is added many times in a turn is looked at once, at its end', async () => {
  using spaced = follow()
  for (const key of ['large', 'small', 'large', 'small']) spaced.add(key)
  expect(spaced.looks).toEqual([])
  await new Promise(setImmediate)
  expect(spaced.looks).toEqual(['large', 'small'])
})

test('what changes all the time is looked at once in each pause, and once more after its last change', async () => {
  vi.useFakeTimers()
  try {
    using spaced = follow()
    for (let ms = 0; ms < 10 * PAUSE; ms++) {
      spaced.add('large')
      await vi.advanceTimersByTimeAsync(1)
    }
    await vi.advanceTimersByTimeAsync(2 * PAUSE)
    expect(spaced.looks.length).toBeGreaterThan(8)
    expect(spaced.looks.length).toBeLessThan(13)
    const before = spaced.looks.length
    await vi.advanceTimersByTimeAsync(10 * PAUSE)
    expect(spaced.looks).toHaveLength(before)
  } finally {
    vi.useRealTimers()
  }
})

test('the pause of one holds up no other, and what waits for it has not passed', async () => {
  using spaced = follow()
  spaced.add('large')
  await spaced.passed()
  spaced.add('large')
  spaced.add('small')
  await new Promise(setImmediate)
  expect(spaced.looks).toEqual(['large', 'small'])
  const since = performance.now()
  await spaced.passed()
  expect(spaced.looks).toEqual(['large', 'small', 'large'])
  expect(performance.now() - since).toBeGreaterThan(PAUSE / 2)
})

test('nothing is looked at after its end, and nobody waits for it', async () => {
  const spaced = follow()
  spaced.add('large')
  const passed = spaced.passed()
  spaced[Symbol.dispose]()
  await passed
  await new Promise(setImmediate)
  expect(spaced.looks).toEqual([])
})
