import { expect, test } from 'vitest'
import { TURN_MS } from '../fair-queue.ts'
import { createTurns } from './turns.ts'

function work(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

/** Which turn of the event loop it is. */
function countTurns(): { readonly turn: number } & Disposable {
  let turn = 0
  let next = setImmediate(function count() {
    turn++
    next = setImmediate(count)
  })
  return {
    get turn() {
      return turn
    },
    [Symbol.dispose]: () => clearImmediate(next),
  }
}

test('what fits into a turn is done at once', () => {
  const turns = createTurns()
  expect(Array.from({ length: 100 }, () => turns.wait('a'))).toEqual(Array.from({ length: 100 }, () => undefined))
})

/** Requests that come in one turn of the loop, each with its microtasks, as a socket's do. */
async function arrive(count: number, ask: () => Promise<void>): Promise<Promise<void>[]> {
  const all: Promise<void>[] = []
  for (let index = 0; index < count; index++) {
    all.push(ask())
    await Promise.resolve()
    await Promise.resolve()
  }
  return all
}

test('what does not is done in as many turns as it takes', async () => {
  const turns = createTurns()
  using loop = countTurns()
  const done: number[] = []
  const all = await arrive(20, async () => {
    await turns.wait('a')
    work(TURN_MS + 1)
    done.push(loop.turn)
  })
  await Promise.all(all)
  expect(new Set(done).size).toBe(20)
})

test('who comes anew waits for one other piece at most', async () => {
  const turns = createTurns()
  const done: string[] = []
  const ask = async (share: string, ms: number): Promise<void> => {
    await turns.wait(share)
    work(ms)
    done.push(share)
  }
  const all = await arrive(20, () => ask('heavy', TURN_MS + 1))
  while (done.length < 5) await new Promise((resolve) => setImmediate(resolve))
  const before = done.length
  await ask('light', 0)
  expect(done.slice(before).indexOf('light')).toBeLessThanOrEqual(1)
  await Promise.all(all)
})
