import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { dataDirectory } from './data-directory.ts'

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
