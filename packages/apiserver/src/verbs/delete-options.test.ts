import { expect, test } from 'vitest'
import { decodeContinue } from './continue-token.ts'
import { deleteOptions } from './delete-options.ts'
import { integerParameter } from './options.ts'

const refusal = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    const { code, message } = error as { code: number; message: string }
    return [code, message]
  }
}

test.each<[given: object, code: number, message: string]>([
  [
    { orphanDependents: 'x' },
    500,
    'json: cannot unmarshal string into Go struct field DeleteOptions.orphanDependents of type bool',
  ],
  [
    { orphanDependents: 'x', preconditions: 'x' },
    500,
    'json: cannot unmarshal string into Go struct field DeleteOptions.orphanDependents of type bool',
  ],
  [
    { preconditions: 'x' },
    500,
    'json: cannot unmarshal string into Go struct field DeleteOptions.preconditions of type v1.Preconditions',
  ],
  [
    { dryRun: ['Bogus', 'All'] },
    422,
    'DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Bogus","All"]: supported values: "All"',
  ],
])('a deletion with %j is refused', (value, code, message) => {
  const body = { value, text: JSON.stringify(value), duplicates: [] }
  expect(refusal(() => deleteOptions(body, {}))).toEqual([code, message])
})

test.each([
  ['x', 0],
  ['AAAAA', 4],
  ['a!', 1],
])('a token %s has no bytes', (token, at) => {
  const said = `invalid continue token: continue key is not valid: illegal base64 data at input byte ${at}`
  expect(refusal(() => decodeContinue(token))).toEqual([400, said])
})

test('a number has 64 bits', () => {
  expect(integerParameter({ limit: '9223372036854775807' }, 'limit')).toBe(2 ** 63)
  expect(integerParameter({ limit: '-9223372036854775808' }, 'limit')).toBe(-(2 ** 63))
  expect(refusal(() => integerParameter({ limit: '9223372036854775808' }, 'limit'))).toEqual([
    400,
    'strconv.ParseInt: parsing "9223372036854775808": value out of range',
  ])
})
