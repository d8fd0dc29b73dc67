/** What validation takes of objects and schemas that are made to take long. */
import { expect, test } from 'vitest'
import type { Schema } from './schema.ts'
import { validate } from './validate.ts'

test('matches that would take too long together are refused, each of which would not', () => {
  const items: Schema = { type: 'array', items: { type: 'string', pattern: '(\\pL|\\pN){0,1000}$' } }
  const started = performance.now()
  const errors = validate(
    items,
    Array.from({ length: 200 }, () => 'é'.repeat(5_000)),
  )
  // All of them would be two minutes; the machine may be busy.
  expect(performance.now() - started).toBeLessThan(15_000)
  expect(errors.at(-1)?.message).toContain('matching all strings of the object would take too long')
})

test('many values of many that may be are looked for in linear time, and no more is told of those than is shown', () => {
  const allowed = Array.from({ length: 20_000 }, (_, index) => `value-${index}`)
  const items: Schema = { type: 'array', items: { type: 'string', enum: allowed } }
  const started = performance.now()
  const last = allowed.at(-1)
  expect(
    validate(
      items,
      Array.from({ length: 40_000 }, () => last),
    ),
  ).toEqual([])
  const errors = validate(
    items,
    Array.from({ length: 40_000 }, () => 'another'),
  )
  // Each looked for among all, or shown with all, would be a minute, and 12 GB.
  expect(performance.now() - started).toBeLessThan(4_000)
  expect(errors).toHaveLength(40_000)
  const [before, shown] = errors[0]?.message.split('supported values: ') ?? []
  expect([before, shown?.length]).toEqual(['Unsupported value: "another": ', 16_385])
  expect(shown?.startsWith('"value-0", "value-1", ')).toBe(true)
})
