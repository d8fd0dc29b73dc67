import { expect, test } from 'vitest'
import { limitConcurrency } from './limit-concurrency.ts'

test('at most so many operations run at a time, in order, also when some fail', async () => {
  const limited = limitConcurrency(2)
  const gates: Array<() => void> = []
  const begun: number[] = []
  const operations = [0, 1, 2, 3].map((index) =>
    limited(async () => {
      begun.push(index)
      await new Promise<void>((resolve) => gates.push(resolve))
      if (index === 0) throw new Error('failed')
      return index
    }),
  )
  const settled = Promise.allSettled(operations)
  await expect.poll(() => begun).toEqual([0, 1])
  gates[0]?.()
  await expect.poll(() => begun).toEqual([0, 1, 2])
  gates[1]?.()
  gates[2]?.()
  await expect.poll(() => begun).toEqual([0, 1, 2, 3])
  gates[3]?.()
  expect((await settled).map((result) => (result.status === 'fulfilled' ? result.value : 'failed'))).toEqual([
    'failed',
    1,
    2,
    3,
  ])
})
