import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const CAISSON = join(import.meta.dirname, '../../../bin/caisson')
let caches: string

beforeEach(() => {
  caches = mkdtempSync(join(tmpdir(), 'caisson-caches-'))
})
afterEach(() => rmSync(caches, { recursive: true, force: true }))

const version = (command = CAISSON): string =>
  execFileSync(command, ['version', '-o', 'name'], {
    env: { PATH: process.env['PATH'], XDG_CACHE_HOME: caches },
    encoding: 'utf8',
  })

test('compiled code is kept in a directory that is the user’s alone', () => {
  const first = version()
  const directory = join(caches, 'caisson/compiled')
  expect(statSync(directory).mode & 0o777).toBe(0o700)
  expect(readdirSync(directory)).toHaveLength(1)
  expect(version()).toBe(first)
})

test('a directory that others may write is not used, and nothing is said', () => {
  const directory = join(caches, 'caisson/compiled')
  mkdirSync(directory, { recursive: true })
  chmodSync(directory, 0o777)
  expect(version()).toMatch(/\d/)
  expect(readdirSync(directory)).toEqual([])
})

test('a link in its place is not followed', () => {
  const elsewhere = join(caches, 'elsewhere')
  mkdirSync(elsewhere, { mode: 0o700 })
  mkdirSync(join(caches, 'caisson'))
  symlinkSync(elsewhere, join(caches, 'caisson/compiled'))
  expect(version()).toMatch(/\d/)
  expect(readdirSync(elsewhere)).toEqual([])
})

test.each(['/proc', '/dev/null', '/nowhere/at/all'])(
  'where %s is the home there is none, nothing is made, and the command goes on at once',
  (home) => {
    const run = { env: { PATH: process.env['PATH'], HOME: home }, encoding: 'utf8', timeout: 20_000 } as const
    expect(execFileSync(CAISSON, ['version', '-o', 'name'], run)).toMatch(/\d/)
    expect(existsSync('/nowhere')).toBe(false)
  },
)

test('the launcher is found through links, relative ones too', () => {
  symlinkSync(CAISSON, join(caches, 'absolute'))
  mkdirSync(join(caches, 'bin'))
  symlinkSync('../absolute', join(caches, 'bin/relative'))
  expect(version(join(caches, 'bin/relative'))).toBe(version())
})
