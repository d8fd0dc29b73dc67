import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createTurns } from './turns.ts'

/** What was done, by turn of the event loop, until nothing more is. */
async function byTurns(bring: (take: (who: string, size: number, name: string) => void) => void): Promise<string[]> {
  const turns = createTurns(10)
  const done: string[] = []
  let now: string[] = []
  bring((who, size, name) => turns.take(who, size, () => void now.push(name)))
  while (now.length > 0) {
    done.push(now.join(' '))
    now = []
    await turn()
  }
  return done
}

test('what has room is done at once, and the rest in the turns that follow', async () => {
  const done = await byTurns((take) => {
    for (const [index, size] of [4, 6, 1, 9, 5, 6].entries()) take(String(index), size, `${index}:${size}`)
  })
  expect(done).toEqual(['0:4 1:6', '2:1 3:9', '4:5', '5:6'])
})

test('what is larger than a turn has one to itself', async () => {
  const done = await byTurns((take) => {
    for (const [index, size] of [25, 1, 11, 2].entries()) take(String(index), size, `${index}:${size}`)
  })
  expect(done).toEqual(['0:25', '1:1', '2:11', '3:2'])
})

test('whoever brings much waits for itself, and keeps its order', async () => {
  const done = await byTurns((take) => {
    for (let piece = 0; piece < 5; piece++) take('much', 10, `much${piece}`)
    take('little', 10, 'little')
    take('other', 10, 'other')
  })
  expect(done).toEqual(['much0', 'much1', 'little', 'other', 'much2', 'much3', 'much4'])
})

test('what little there is does not pass by those who wait', async () => {
  const done = await byTurns((take) => {
    take('a', 10, 'a')
    take('b', 10, 'b')
    take('c', 1, 'c')
  })
  expect(done).toEqual(['a', 'b', 'c'])
})
