import { expect, test } from 'vitest'
import { addProcessMetrics } from './process-metrics.ts'

test('metrics that could not be loaded are loaded when they are asked for again, once', async () => {
  const register = {
    getMetricsAsArray: () => [],
    getSingleMetric: () => undefined,
    removeSingleMetric: () => undefined,
  }
  let loads = 0
  let collections = 0
  const add = addProcessMetrics(register, async () => {
    if (++loads === 1) throw new Error('EMFILE: too many open files')
    return {
      collectDefaultMetrics() {
        collections++
      },
    }
  })
  await expect(add()).rejects.toThrow('EMFILE')
  await Promise.all([add(), add()])
  await add()
  expect([loads, collections]).toEqual([2, 1])
})
