import { expect, test } from 'vitest'
import { limitConcurrency } from './limit-concurrency.ts'

test('lets so many run at a time, the others in their order', async () => {
  const limited = limitConcurrency(2)
  const gates = [0, 1, 2, 3].map(() => Promise.withResolvers<void>())
  const begun: number[] = []
  const done = gates.map(({ promise }, index) =>
    limited(async () => {
      begun.push(index)
      await promise
    }),
  )
  await new Promise((resolve) => setImmediate(resolve))
  expect(begun).toEqual([0, 1])
  gates[1]?.resolve()
  await done[1]
  await new Promise((resolve) => setImmediate(resolve))
  expect(begun).toEqual([0, 1, 2])
  for (const gate of gates) gate.resolve()
  await Promise.all(done)
  expect(begun).toEqual([0, 1, 2, 3])
})

test('does not begin what was given up while it waited, and keeps no place for it', async () => {
  const limited = limitConcurrency(1)
  const first = Promise.withResolvers<string>()
  const running = limited(() => first.promise)
  const stop = new AbortController()
  const given = limited(() => Promise.resolve('begun'), stop.signal)
  const last = limited(() => Promise.resolve('last'))
  stop.abort(new Error('deleted'))
  await expect(given).rejects.toThrow('deleted')
  first.resolve('first')
  expect(await Promise.all([running, last])).toEqual(['first', 'last'])
  await expect(limited(() => Promise.resolve('late'), stop.signal)).rejects.toThrow('deleted')
})
