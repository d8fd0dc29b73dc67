import { expect, test } from 'vitest'
import { createCpuRates } from './cpu-rate.ts'

const second = 1000
const busy = (seconds: number): number => seconds * 1e9

test('the first rate is that since the beginning, the next that of a window of at least ten seconds', () => {
  const rates = createCpuRates()
  const rate = (at: number, nanoseconds: number) => rates.rate('a', { at: at * second, nanoseconds }, 0)
  expect(rate(4, busy(2))).toEqual({ nanocores: 5e8, windowMs: 4 * second })
  // Asked again soon: still since the beginning.
  expect(rate(5, busy(3))).toEqual({ nanocores: 6e8, windowMs: 5 * second })
  // It sleeps from now on.
  expect(rate(15, busy(3))).toEqual({ nanocores: 2e8, windowMs: 15 * second })
  expect(rate(20, busy(3))).toEqual({ nanocores: 1.5e8, windowMs: 20 * second })
  expect(rate(30, busy(3))).toEqual({ nanocores: 0, windowMs: 15 * second })
  // Others are others.
  expect(rates.rate('b', { at: 30 * second, nanoseconds: busy(1) }, 29 * second)).toEqual({
    nanocores: 1e9,
    windowMs: second,
  })
})

test('a counter that began anew is no negative rate', () => {
  const rates = createCpuRates()
  rates.rate('a', { at: 20 * second, nanoseconds: busy(9) }, 0)
  expect(rates.rate('a', { at: 40 * second, nanoseconds: busy(1) }, 0).nanocores).toBe(0)
  rates.keep(new Set())
  expect(rates.rate('a', { at: 40 * second, nanoseconds: busy(1) }, 39 * second).nanocores).toBe(1e9)
})

test('a clock that is set back makes no processor busy, and rates are told anew from then on', () => {
  const rates = createCpuRates()
  const rate = (at: number, nanoseconds: number) => rates.rate('a', { at: at * second, nanoseconds }, 100_000 * second)
  expect(rate(100_020, busy(10)).nanocores).toBe(5e8)
  expect(rate(10, busy(11))).toEqual({ nanocores: 0, windowMs: 1 })
  expect(rate(30, busy(21))).toEqual({ nanocores: 5e8, windowMs: 20 * second })
})
