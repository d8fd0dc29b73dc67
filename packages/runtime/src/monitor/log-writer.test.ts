import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createLogWriter, formatRecords } from './log-writer.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-log-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

describe('formatRecords', () => {
  test.each([
    ['one\n', ['F one']],
    ['one\ntwo', ['F one', 'P two']],
    ['\n\n', ['F ', 'F ']],
    ['', []],
  ])('%j', (given, expected) => {
    expect(formatRecords('stderr', Buffer.from(given), 'T').toString().split('\n').slice(0, -1)).toEqual(
      expected.map((line) => `T stderr ${line}`),
    )
  })

  test('loses and adds nothing, whatever comes in whatever pieces', () => {
    const chunks = fc.array(
      fc.oneof(fc.string({ unit: 'binary' }), fc.constant('x'.repeat(40_000)), fc.constant('\n')),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(chunks, (given) => {
        const records = Buffer.concat(given.map((chunk) => formatRecords('stdout', Buffer.from(chunk), 'T')))
        const lines = records.toString('latin1').split('\n').slice(0, -1)
        for (const line of lines) expect(line).toMatch(/^T stdout [FP] /)
        const text = lines.map((line) => line.slice('T stdout F '.length) + (line[9] === 'F' ? '\n' : '')).join('')
        expect(text).toBe(Buffer.from(given.join('')).toString('latin1'))
      }),
      { numRuns: 60 },
    )
  })
})

test('a record has the time that the machine has by then, whoever has set it and however long it has slept', () => {
  onTestFinished(() => void vi.useRealTimers())
  const path = join(directory, 'log')
  const log = createLogWriter({ path, maxBytes: 1000, maxFiles: 1 })
  const times = ['2041-02-03T04:05:06', '2041-02-03T12:05:06', '2031-02-03T04:05:06']
  for (const time of times) {
    vi.useFakeTimers({ toFake: ['Date'], now: new Date(`${time}.500Z`) })
    log.write('stdout', Buffer.from('line\n'))
  }
  log.close()
  const records = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  expect(records).toEqual(times.map((time) => expect.stringMatching(`^${time}\\.50\\d{7}Z stdout F line$`)))
})

test('a log is put aside when it is full, and only so many are kept', () => {
  const path = join(directory, 'log')
  const log = createLogWriter({ path, maxBytes: 100, maxFiles: 3 })
  for (let line = 1; line <= 8; line++) log.write('stdout', Buffer.from(`line ${line}\n`))
  log.close()
  const texts = ['log', 'log.1', 'log.2', 'log.3'].map((name) =>
    existsSync(join(directory, name)) ? readFileSync(join(directory, name), 'utf8').match(/line \d/g) : undefined,
  )
  expect(texts).toEqual([['line 7', 'line 8'], ['line 5', 'line 6'], ['line 3', 'line 4'], undefined])
})

test('a directory that is gone loses records and nothing else, and the log goes on when it is back', () => {
  const path = join(directory, 'sub/log')
  const log = createLogWriter({ path, maxBytes: 1000, maxFiles: 2 })
  log.write('stdout', Buffer.from('lost\n'))
  rmSync(directory, { recursive: true })
  directory = mkdtempSync(join(tmpdir(), 'caisson-log-'))
  const other = createLogWriter({ path: join(directory, 'log'), maxBytes: 1000, maxFiles: 1 })
  other.write('stdout', Buffer.from('kept\n'))
  other.close()
  log.close()
  expect(readFileSync(join(directory, 'log'), 'utf8')).toMatch(
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F kept\n$/,
  )
})

test('a log that cannot be put aside loses records and nothing else, and goes on when it can', () => {
  const path = join(directory, 'out.log')
  const log = createLogWriter({ path, maxBytes: 100, maxFiles: 2 })
  const write = (text: string): void => log.write('stdout', Buffer.from(`${text}\n`))
  mkdirSync(`${path}.1`)
  write('first'.padEnd(60, '.'))
  write('lost'.padEnd(60, '.'))
  expect(readFileSync(path, 'utf8')).toContain('first')
  rmSync(`${path}.1`, { recursive: true })
  write('last')
  log.close()
  expect(readFileSync(`${path}.1`, 'utf8')).toContain('first')
  expect(readFileSync(path, 'utf8')).toMatch(/F last\n$/)
})
