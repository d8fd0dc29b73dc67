import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createDaemonLog, type DaemonLog } from './daemon-log.ts'

let directory: string
let file: string
let before: string
let descriptor: number
let time: number
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-daemon-log-'))
  file = join(directory, 'log')
  before = join(directory, 'log.1')
  descriptor = openSync(file, 'a', 0o600)
  time = Date.UTC(2026, 0, 1)
})
afterEach(() => {
  closeSync(descriptor)
  rmSync(directory, { recursive: true })
})

const create = (maxBytes?: number): DaemonLog =>
  createDaemonLog({ descriptor, file, now: () => time, ...(maxBytes !== undefined && { maxBytes }) })
const lines = (): string[] => readFileSync(file, 'utf8').trimEnd().split('\n')

test('one message is one line, whatever is in it', () => {
  create()('pod a/b', `it failed\n2026-01-01T00:00:00.000Z pod c/d: forged\u001b[2J${'x'.repeat(5_000)}`)
  expect(lines()).toHaveLength(1)
  expect(lines()[0]).toMatch(/^2026-01-01T00:00:00\.000Z pod a\/b: it failed\\n2026-.*\\u001b\[2Jx+…$/)
  expect(lines()[0]?.length).toBeLessThan(2_100)
})

test('one place that fails again and again leaves the others their room, and is heard again later', () => {
  const log = create()
  for (let index = 0; index < 100; index++) log('pod a/b', `failure ${index}`)
  log('pod c/d', 'another')
  expect(lines()).toHaveLength(22)
  expect(lines()[20]).toMatch(/pod a\/b: more of it is not logged for 60 s$/)
  expect(lines()[21]).toMatch(/pod c\/d: another$/)
  time += 60_000
  log('pod a/b', 'again')
  expect(lines().at(-1)).toMatch(/pod a\/b: again$/)
})

test('places without end count as one', () => {
  const log = create()
  for (let index = 0; index < 5_000; index++) log(`pod ${index}`, 'failed')
  expect(lines()).toHaveLength(521)
  expect(lines().at(-1)).toMatch(/other places: more of it/)
})

test('a full file is put aside, and one such file is kept', () => {
  const log = create(1_000)
  for (let index = 0; index < 200; index++) log(`place ${index}`, 'x'.repeat(60))
  expect(statSync(file).size).toBeLessThan(1_200)
  expect(statSync(before).size).toBeLessThan(1_200)
  const kept = readFileSync(before, 'utf8') + readFileSync(file, 'utf8')
  // Whole lines, the last ones, in order.
  const numbers = [...kept.matchAll(/^\S+ place (\d+): x{60}$/gm)].map(([, number]) => Number(number))
  expect(numbers.at(-1)).toBe(199)
  expect(numbers).toEqual(numbers.map((_, index) => 200 - numbers.length + index))
  expect(kept.trimEnd().split('\n')).toHaveLength(numbers.length)
})

test('what cannot be written ends nothing', () => {
  const full = openSync('/dev/full', 'w')
  try {
    const log = createDaemonLog({ descriptor: full, file, now: () => time })
    for (let index = 0; index < 30; index++) log('node', 'the disk is full')
  } finally {
    closeSync(full)
  }
})
