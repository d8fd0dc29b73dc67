import { expect, test } from 'vitest'
import { canonicalTime, TimeError } from './native-scalars.ts'

test('every day that a year has is a time as it stands, and no other is', () => {
  const days = [2023, 2024, 1900, 2000].flatMap((year) =>
    Array.from({ length: 14 * 33 }, (_, index) => ({ year, month: Math.floor(index / 33), day: index % 33 })),
  )
  const pad = (value: number): string => String(value).padStart(2, '0')
  for (const { year, month, day } of days) {
    const text = `${year}-${pad(month)}-${pad(day)}T23:59:59Z`
    const date = new Date(Date.UTC(year, month - 1, day))
    const isReal = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
    if (isReal) expect(canonicalTime(text)).toBe(text)
    else expect(() => canonicalTime(text), text).toThrow(TimeError)
  }
})
