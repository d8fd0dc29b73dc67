import type { Probe } from 'kubernetes-types/core/v1.d.ts'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import { createHostProcesses } from '../testing/host-processes.ts'
import { watchContainer } from './watched-container.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const HOUR_MS = 3_600_000
/** The largest that a Pod may say. */
const MOST_SECONDS = 2 ** 31 - 1

/** When, in ms since its start, a container with this readiness probe is asked within `ms`. */
async function askedAt(probe: Probe, ms: number): Promise<number[]> {
  const container = { name: 'main', image: 'busybox', readinessProbe: { exec: { command: ['true'] }, ...probe } }
  const startedAt = Date.now()
  const asked: number[] = []
  using _ = watchContainer({
    pod: aPod({ spec: { containers: [container] } }),
    container,
    target: { runtime: createHostProcesses(), container, containerId: 'c', sandboxId: 's', podIp: undefined },
    startedAt,
    known: undefined,
    restarts: true,
    events: { about: () => undefined, aboutContainer: () => undefined },
    now: Date.now,
    async ask() {
      asked.push(Date.now() - startedAt)
      return { verdict: 'success', message: '' }
    },
    onChanged: () => undefined,
  })
  await vi.advanceTimersByTimeAsync(ms)
  return asked
}

test('a container is asked at once, and again after each period', async () => {
  expect(await askedAt({ periodSeconds: 10 }, 30_000)).toEqual([0, 10_000, 20_000, 30_000])
})

test('the longest period is one: it is asked once', async () => {
  expect(await askedAt({ periodSeconds: MOST_SECONDS }, HOUR_MS)).toEqual([0])
})

test('the longest initial delay is one: it is not asked before', async () => {
  expect(await askedAt({ initialDelaySeconds: MOST_SECONDS }, HOUR_MS)).toEqual([])
})

test('a period that is longer than a timer counts ends', async () => {
  const days30 = 30 * 24 * HOUR_MS
  expect(await askedAt({ periodSeconds: days30 / 1000 }, days30)).toEqual([0, days30])
})
