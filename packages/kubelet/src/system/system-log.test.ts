import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSystemLog } from './system-log.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-system-log-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

test('keeps lines as containers’ logs have them, and those of the process before', () => {
  const options = { directory, name: 'process', now: () => 0 }
  {
    using log = createSystemLog(options)
    expect(log.previousPath()).toBe(undefined)
    log.write('one\nline\tä\u001b[2J\u009b31m\u007f')
  }
  using log = createSystemLog(options)
  log.write('another')
  expect(readFileSync(log.path, 'utf8')).toBe('1970-01-01T00:00:00.000Z stderr F another\n')
  expect(readFileSync(log.previousPath() ?? '', 'utf8')).toBe(
    '1970-01-01T00:00:00.000Z stderr F one\\nline\tä\\u001b[2J\\u009b31m\\u007f\n',
  )
})

test('never holds more than twice its bound, and the newest lines always', () => {
  using log = createSystemLog({ directory, name: 'process', now: () => 0, maxBytes: 100 })
  for (let line = 0; line < 50; line++) log.write(`line ${line}`)
  const [old, current] = [`${log.path}.1`, log.path].map((path) => readFileSync(path, 'utf8'))
  expect(`${old}${current}`.match(/line \d+/g)).toEqual(['line 45', 'line 46', 'line 47', 'line 48', 'line 49'])
})

test('drops what cannot be written', () => {
  const log = createSystemLog({ directory, name: 'process', now: () => 0 })
  log[Symbol.dispose]()
  log.write('too late')
  expect(readFileSync(log.path, 'utf8')).toBe('')
})
