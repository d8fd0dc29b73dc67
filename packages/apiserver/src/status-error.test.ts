import { expect, test } from 'vitest'
import { type FieldError, invalid } from './status-error.ts'

test('of very many errors the first hundred are said, and how many there are', () => {
  const errors: FieldError[] = Array.from({ length: 150_000 }, (_, index) => ({
    type: 'FieldValueInvalid',
    field: `data[k${index}]`,
    message: 'Invalid value',
  }))
  const { message, details } = invalid({ group: '', kind: 'ConfigMap' }, 'x', errors)
  expect(details?.causes).toHaveLength(100)
  expect(message.endsWith('data[k99]: Invalid value, and 149900 more]')).toBe(true)
})
