import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createEventWindow } from './event-window.ts'
import type { StoreEvent } from './store.ts'

function event(revision: number): StoreEvent {
  return { type: 'ADDED', object: {} as KubeObject, previous: undefined, revision }
}

test('what is old is forgotten, and where it began is remembered', () => {
  const window = createEventWindow(0, { events: 100, bytes: 1e6 })
  for (let revision = 1; revision <= 5; revision++) window.push(event(revision * 10), 1, revision * 1000)
  window.expire(3000)
  expect(window.compactedRevision).toBe(20)
  expect(window.after(19)).toBeUndefined()
  expect(window.after(20)?.map(({ revision }) => revision)).toEqual([30, 40, 50])
  window.expire(10_000)
  expect([window.compactedRevision, window.after(50), window.after(49)]).toEqual([50, [], undefined])
})

test('it is the newest part of all that was pushed, within its bounds', () => {
  const pushes = fc.array(fc.record({ gap: fc.integer({ min: 1, max: 3 }), size: fc.integer({ min: 1, max: 40 }) }), {
    maxLength: 300,
  })
  fc.assert(
    fc.property(pushes, (given) => {
      const window = createEventWindow(0, { events: 70, bytes: 1000 })
      const all: { revision: number; size: number }[] = []
      let revision = 0
      for (const { gap, size } of given) {
        revision += gap
        all.push({ revision, size })
        window.push(event(revision), size, 0)
      }
      const kept = window.after(window.compactedRevision) as StoreEvent[]
      expect(kept.map((each) => each.revision)).toEqual(
        all.slice(all.length - kept.length).map((each) => each.revision),
      )
      expect(kept.length).toBeLessThanOrEqual(70)
      const bytes = all.slice(all.length - kept.length).reduce((sum, { size }) => sum + size, 0)
      expect(kept.length === 1 || bytes <= 1000).toBe(true)
      const dropped = all[all.length - kept.length - 1]
      expect(window.compactedRevision).toBe(dropped?.revision ?? 0)
    }),
  )
})
