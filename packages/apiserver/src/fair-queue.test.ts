import { expect, test } from 'vitest'
import { createFairQueue } from './fair-queue.ts'

/** The next pieces of work, each of which takes as long as `ms` says of its first letter. */
function serve(queue: ReturnType<typeof createFairQueue<string>>, count: number, ms: Record<string, number>): string[] {
  return Array.from({ length: count }, () => {
    const next = queue.take()
    const item = next?.item ?? ''
    next?.done(ms[item.slice(0, 1)] ?? 0)
    return item
  })
}

test('pieces of one share are taken in their order, and those of two in turn', () => {
  const queue = createFairQueue<string>()
  for (const item of ['a1', 'a2', 'a3', 'b1', 'b2']) queue.push(item.slice(0, 1), item)
  expect(queue.size).toBe(5)
  expect(serve(queue, 6, { a: 10, b: 10 })).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', ''])
  expect(queue.size).toBe(0)
})

test('whose pieces take long has as much time as the others, and no more', () => {
  const queue = createFairQueue<string>()
  for (let count = 0; count < 3; count++) queue.push('heavy', 'heavy')
  for (let count = 0; count < 12; count++) queue.push('light', 'light')
  expect(serve(queue, 8, { h: 40, l: 10 })).toEqual([
    'heavy',
    'light',
    'light',
    'light',
    'light',
    'heavy',
    'light',
    'light',
  ])
})

test('who comes anew is next, and saves nothing up by staying away', () => {
  const queue = createFairQueue<string>()
  for (let count = 0; count < 10; count++) queue.push('heavy', 'heavy')
  serve(queue, 5, { h: 40 })
  for (let count = 0; count < 9; count++) queue.push('light', 'light')
  expect(serve(queue, 6, { h: 40, l: 10 })).toEqual(['light', 'light', 'light', 'light', 'heavy', 'light'])
})

test('what the next piece takes is what the last one of its share took', () => {
  const queue = createFairQueue<string>()
  for (const item of ['a', 'a', 'b']) queue.push(item, item)
  expect(queue.expected()).toBe(0)
  serve(queue, 2, { a: 7, b: 3 })
  expect(queue.expected()).toBe(7)
})
