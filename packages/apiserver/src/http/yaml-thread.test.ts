import { expect, test } from 'vitest'
import { decodeYaml, MOST_VALUES } from '../verbs/decode.ts'
import { decodeYamlOffThread } from './yaml-thread.ts'

const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('\n')

test('gives what the parser gives on the event loop', async () => {
  const text = `data:\n${lines(3000, (index) => `  k${index}: [${index}, "x", null, {a: true}]`)}\ndata2: 1\ndata2: 2\n`
  const decoded = await decodeYamlOffThread(text)
  expect(decoded).toEqual(decodeYaml(text))
  expect(decoded.duplicates).toEqual(['duplicate field "data2"'])
})

test('answers in the order of the calls, also after a failure', async () => {
  const [first, second, third] = await Promise.allSettled([
    decodeYamlOffThread('a: 1'),
    decodeYamlOffThread('a: [b'),
    decodeYamlOffThread('a: 3'),
  ])
  expect(first).toEqual({ status: 'fulfilled', value: { value: { a: 1 }, duplicates: [] } })
  expect(second).toMatchObject({
    status: 'rejected',
    reason: { message: expect.stringMatching(/^yaml, line 1/) as string },
  })
  expect(third).toMatchObject({ value: { value: { a: 3 } } })
})

test('refuses what has too many values', async () => {
  const text = lines(MOST_VALUES + 1, (index) => `k${index}: 1`)
  await expect(decodeYamlOffThread(text)).rejects.toMatchObject({ code: 413, reason: 'RequestEntityTooLarge' })
})

test('aliases do not multiply', async () => {
  const text = `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(50)}]\nc: [${'*b,'.repeat(51)}]\n`
  await expect(decodeYamlOffThread(text)).rejects.toThrow('Excessive alias count')
})

test('a body that exhausts the thread is refused, and the next one is decoded', async () => {
  const hostile = `a: [${'{},'.repeat(900_000)}]`
  const [refused, decoded] = await Promise.allSettled([decodeYamlOffThread(hostile), decodeYamlOffThread('a: 1')])
  expect(refused).toMatchObject({ status: 'rejected', reason: { code: 413 } })
  expect(decoded).toMatchObject({ value: { value: { a: 1 } } })
}, 60_000)
