import { expect, test } from 'vitest'
import { createControllerLog } from './controller-log.ts'

test('says what was done and what failed, one line each, with its fields as JSON', () => {
  const lines: string[] = []
  const log = createControllerLog({ write: (line) => lines.push(line), now: () => 0 })
  log.started('sandbox', 100)
  log.passed({ controller: 'sandbox', key: 'default/one', did: ['create Pod one', 'status'] })
  log.failed('sandbox default/one', 'the API server says no')
  log.said('Stopping workers')
  expect(lines).toEqual([
    '1970-01-01T00:00:00.000Z\tINFO\tStarting workers\t{"controller":"sandbox","worker count":100}',
    '1970-01-01T00:00:00.000Z\tINFO\tReconciled\t{"controller":"sandbox","object":"default/one","did":["create Pod one","status"]}',
    '1970-01-01T00:00:00.000Z\tERROR\tthe API server says no\t{"where":"sandbox default/one"}',
    '1970-01-01T00:00:00.000Z\tINFO\tStopping workers\t{}',
  ])
})

test('says the same as objects, or only what goes wrong', () => {
  const lines: string[] = []
  const write = (line: string) => lines.push(line)
  const whole = createControllerLog({ write, now: () => 0, form: 'json' })
  whole.started('sandbox', 100)
  whole.failed('sandbox default/one', 'no\nmore')
  const errors = createControllerLog({ write, now: () => 0, onlyErrors: true })
  errors.said('Stopping workers')
  errors.failed('sandbox default/one', 'no')
  expect(lines).toEqual([
    '{"level":"info","ts":"1970-01-01T00:00:00.000Z","msg":"Starting workers","controller":"sandbox","worker count":100}',
    '{"level":"error","ts":"1970-01-01T00:00:00.000Z","msg":"no\\nmore","where":"sandbox default/one"}',
    '1970-01-01T00:00:00.000Z\tERROR\tno\t{"where":"sandbox default/one"}',
  ])
})

test('writes no more than its bound in a second, and then says how many lines it left out', () => {
  const lines: string[] = []
  let clock = 5_000
  const log = createControllerLog({ write: (line) => lines.push(line), now: () => clock, linesPerSecond: 2 })
  for (const message of ['a', 'b', 'c', 'd']) log.said(message)
  clock = 5_999
  log.said('e')
  clock = 6_000
  log.said('f')
  log.said('g')
  expect(lines).toEqual([
    '1970-01-01T00:00:05.000Z\tINFO\ta\t{}',
    '1970-01-01T00:00:05.000Z\tINFO\tb\t{}',
    '1970-01-01T00:00:06.000Z\tINFO\tLines left out\t{"count":3}',
    '1970-01-01T00:00:06.000Z\tINFO\tf\t{}',
    '1970-01-01T00:00:06.000Z\tINFO\tg\t{}',
  ])
})
