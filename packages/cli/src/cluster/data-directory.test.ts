import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { dataDirectory, doctorFix, openLog, prepareDataDirectory } from './data-directory.ts'

afterEach(() => vi.unstubAllEnvs())

test.each<[option: string | undefined, variable: string, state: string, expected: string]>([
  ['/given', '/variable', '/state', '/given'],
  ['given', '/variable', '/state', resolve('given')],
  [undefined, '/variable', '/state', '/variable'],
  [undefined, '', '/state', '/state/caisson'],
  ['', '', '', join(homedir(), '.local/state/caisson')],
])('--data-dir %s, CAISSON_DATA_DIR=%s and XDG_STATE_HOME=%s: %s', (option, variable, state, expected) => {
  vi.stubEnv('CAISSON_DATA_DIR', variable)
  vi.stubEnv('XDG_STATE_HOME', state)
  expect(dataDirectory(option).root).toBe(expected)
})

test('a home that is set to nothing is none: the user’s own counts, and not the working directory', () => {
  for (const name of ['HOME', 'CAISSON_DATA_DIR', 'XDG_STATE_HOME']) vi.stubEnv(name, '')
  expect(dataDirectory().root).toBe(join(userInfo().homedir, '.local/state/caisson'))
})

test.each<[option: string | undefined, tools: string, expected: string]>([
  [undefined, '', 'caisson doctor --fix'],
  ['/variable', '', 'caisson doctor --fix'],
  ['/given', '', 'caisson --data-dir /given doctor --fix'],
  // Then all directories have the same.
  ['/given', '/tools', 'caisson doctor --fix'],
])('with --data-dir %s and CAISSON_TOOLS_DIR=%s tools are fetched by: %s', (option, tools, expected) => {
  vi.stubEnv('CAISSON_DATA_DIR', '/variable')
  vi.stubEnv('CAISSON_TOOLS_DIR', tools)
  expect(doctorFix(dataDirectory(option))).toBe(expected)
})

describe('a directory', () => {
  let work: string
  beforeEach(() => {
    work = mkdtempSync(join(tmpdir(), 'caisson-data-directory-'))
    return () => rmSync(work, { recursive: true })
  })
  const mode = (path: string): number => statSync(path).mode & 0o777
  const prepare = (root: string): void => prepareDataDirectory(dataDirectory(root))
  const refusal = (root: string, why: string) =>
    expect.objectContaining({
      code: 'usage',
      message: `the data directory ${root} ${why}: choose another with --data-dir or CAISSON_DATA_DIR`,
    })

  test('is made private, with what is above it', () => {
    const root = join(work, 'above', 'root')
    prepare(root)
    prepare(root)
    expect([mode(root), mode(join(work, 'above'))]).toEqual([0o700, 0o700])
  })

  test('that is there and empty, or was a cluster’s before, is made private', () => {
    const root = join(work, 'root')
    mkdirSync(root)
    for (let time = 0; time < 2; time++) {
      chmodSync(root, 0o755)
      prepare(root)
      expect(mode(root)).toBe(0o700)
    }
  })

  test('that holds tools and what an administrator has written before the first start is taken', () => {
    const root = join(work, 'before')
    mkdirSync(join(root, 'tools'), { recursive: true })
    writeFileSync(join(root, 'node.yaml'), '')
    chmodSync(root, 0o755)
    prepare(root)
    expect(mode(root)).toBe(0o700)
  })

  test('that holds what others read stays as it is, and a file too', () => {
    const shared = join(work, 'shared')
    const file = join(shared, 'file')
    mkdirSync(shared)
    writeFileSync(file, '')
    chmodSync(shared, 0o755)
    chmodSync(file, 0o644)
    expect(() => prepare(shared)).toThrow(
      refusal(shared, "is there already, with content that others may read ('chmod 700' says that it is yours alone)"),
    )
    expect(() => prepare(file)).toThrow(refusal(file, 'is no directory'))
    expect(() => prepare(join(file, 'below'))).toThrow(refusal(join(file, 'below'), 'cannot be made (ENOTDIR)'))
    expect([mode(shared), mode(file)]).toEqual([0o755, 0o644])
    chmodSync(shared, 0o700)
    prepare(shared)
  })

  test('that cannot be written to says so, and nothing of it stands in the way of the next start', () => {
    const root = join(work, 'root')
    mkdirSync(root, { mode: 0o700 })
    // The disk on which the layout is to be written has no room.
    symlinkSync('/dev/full', join(root, 'layout.json.new'))
    const full = expect.objectContaining({
      code: 'failed',
      message: `the disk of ${root} is full: free some space, or choose another with --data-dir or CAISSON_DATA_DIR`,
    })
    expect(() => prepare(root)).toThrow(full)
    expect(readdirSync(root)).toEqual([])
    prepare(root)
    mkdirSync(join(root, 'caisson.log'))
    expect(() => openLog(dataDirectory(root))).toThrow(
      refusal(
        root,
        `cannot be written to (EISDIR: illegal operation on a directory, open '${join(root, 'caisson.log')}')`,
      ),
    )
    writeFileSync(join(root, 'layout.json'), '')
    expect(() => prepare(root)).toThrow(
      'layout.json cannot be read (Unexpected end of JSON input): restore it, or delete',
    )
  })

  test.each(['/proc', '/sys', '/dev/null', '/etc/passwd'])('below %s is none, and that is told at once', (home) => {
    expect(() => prepare(join(home, '.local/state/caisson'))).toThrow('cannot be made (E')
  })
})
